"""What takes a transaction, or several steps in order."""
