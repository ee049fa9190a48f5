"""Long-lived tasks that run beside the requests."""
