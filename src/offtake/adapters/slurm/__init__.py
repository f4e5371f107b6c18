"""Slurm, through its commands: a runner of them, and what its accounting says."""
