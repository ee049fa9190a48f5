"""What takes a transaction, or several steps in order, or goes on beside the requests."""
