"""What carries a plan out and reads back what ran: a simulated cluster; real ones come beside it."""
