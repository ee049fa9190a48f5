"""Use cases: each opens a transaction, or takes several steps in order."""
