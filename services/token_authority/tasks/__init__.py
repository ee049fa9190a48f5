"""Tasks that run as long as the process, independent of requests."""
