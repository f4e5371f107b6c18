"""Executable agreements: terms, tranches, clauses and what follows from them."""
