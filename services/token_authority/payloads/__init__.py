"""The JSON bodies, forms and query parameters of the API, as Structs that validate and encode."""
