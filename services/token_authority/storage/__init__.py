"""The SQL of the token authority. No other package of it names a table."""
