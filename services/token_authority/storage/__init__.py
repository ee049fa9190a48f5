"""SQL beside the only functions that run it. Nothing else of the authority knows a table's name."""
