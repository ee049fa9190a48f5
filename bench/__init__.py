"""Measurements of the whole stack, as its users would feel it. Not a part of what is installed."""
