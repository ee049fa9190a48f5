"""SQL, each statement beside the only function that runs it. No other package of the authority names a table."""
