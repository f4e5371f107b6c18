"""Which pool serves which claim over which interval, and the reason where one goes short or moves."""
