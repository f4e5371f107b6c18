"""The only place where rooms meet: load, decide, apply, in one transaction."""
