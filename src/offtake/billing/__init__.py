"""Documents and what they do to the ledger."""
