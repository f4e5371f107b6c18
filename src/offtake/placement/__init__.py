"""Which nodes a claim gets of the GPUs that a plan gives it."""
