"""Readings, and the take they settle to."""
