"""The settings pages: what an administrator sees in a browser. They call the same operations as the API."""
