"""Double entry: entries whose legs sum to zero in each currency."""
