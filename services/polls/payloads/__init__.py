"""The JSON of the polls service, both faces."""
