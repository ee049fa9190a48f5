"""The JSON of the authority's API, as Structs that validate and encode."""
