"""Pollgate for its users: the client library, the `pollgate` command, and the stack that `make run` starts."""
