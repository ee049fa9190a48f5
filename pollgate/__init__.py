"""The front door: the `pollgate` command, the stack behind `make run`, and the client of the authority's API."""
