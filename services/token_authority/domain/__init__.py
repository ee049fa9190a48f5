"""The rules of tokens and sites: no I/O, time as an argument."""
