"""Benchmarks of the whole stack. They are not installed."""
