"""What any small HTTP service needs. Nothing in here knows tokens or polls."""
