"""Events, a file for each kind; `offtake.agreements.catalogue` is their table."""
