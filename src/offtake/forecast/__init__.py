"""What the operator's own demand may be: paths, quantiles at a lead, and how well they held."""
