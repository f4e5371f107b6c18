"""File formats in and out: TOML books, curves, traces, documents, reports."""
