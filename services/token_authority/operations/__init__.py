"""Use cases: each module opens a transaction or takes several steps."""
