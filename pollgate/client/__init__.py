"""The client library: typed, asynchronous access to the polls API and the token authority's management API."""
