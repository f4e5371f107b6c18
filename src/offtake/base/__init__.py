"""The words every room speaks: money, rates, time, curves, canonical bytes, errors."""
