"""The rules of polls: no I/O, time as an argument."""
