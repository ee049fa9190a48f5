"""SQL beside the only functions that run it. Nothing else of the polls service knows a table's name."""
