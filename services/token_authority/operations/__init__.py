"""One module a use case that needs a transaction or several steps."""
