"""The JSON of `/v1` and `/x1`."""
