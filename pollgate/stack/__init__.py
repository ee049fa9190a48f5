"""The stack on one machine: embedded PostgreSQL and Redis, secrets, migrations and the two services."""
