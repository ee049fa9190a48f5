"""PostgreSQL: the connection pool, migrations, and metrics per query."""
