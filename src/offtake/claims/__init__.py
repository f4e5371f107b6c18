"""The calendar of capacity: who may hold how many GPUs of which pools, from when to when."""
