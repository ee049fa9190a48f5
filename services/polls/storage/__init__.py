"""The SQL of the polls service. No other package of it names a table."""
