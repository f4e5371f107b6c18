"""Sites, pools and what of them works: nameplate, available, and what cut it."""
