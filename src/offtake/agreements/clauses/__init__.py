"""Clauses, a file each; `offtake.agreements.catalogue` is their table."""
