"""The whole business on a simulated clock: the same workflows as live, another clock and other adapters."""
