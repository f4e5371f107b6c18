"""The book on disk: a hash-chained log of facts, what is projected from it, and a lake of bulk rows."""
