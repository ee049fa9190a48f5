"""A migrated template database, and clones of it: one per test process, or one for a single test."""

import secrets
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from pollgate.stack.migrate import SCHEMAS, migrate_all
from shared.runtime.postgres.migrations import Schema

ROLE_PASSWORD = "of-a-test"
SMALL_BYTES: Final = 1024 * 1024


class ClonedDatabase(NamedTuple):
    """The URLs of one database: for the superuser and for the roles of the services."""

    admin_url: str
    token_authority_url: str
    polls_url: str


def role_passwords() -> dict[Schema, str]:
    """Return the passwords of the services' roles."""
    return dict.fromkeys(SCHEMAS, ROLE_PASSWORD)


def url_to(admin_url: str, database: str, role: str | None = None) -> str:
    """Return the URL of another database on the same server, for `role` if it is given."""
    parts = urlsplit(admin_url)
    netloc = f"{role}:{ROLE_PASSWORD}@{parts.netloc.rpartition('@')[2]}" if role else parts.netloc
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{database}"))


def urls_of(admin_url: str, name: str) -> ClonedDatabase:
    """Return the URLs of the database with this name."""
    return ClonedDatabase(
        admin_url=url_to(admin_url, name),
        token_authority_url=url_to(admin_url, name, "token_authority"),
        polls_url=url_to(admin_url, name, "polls"),
    )


async def create_template(admin_url: str) -> str:
    """Create and migrate the template. Return its name."""
    name = f"pollgate_template_{secrets.token_hex(4)}"
    await _execute(admin_url, f"CREATE DATABASE {name}")
    await migrate_all(url_to(admin_url, name), role_passwords())
    return name


async def drop_database(admin_url: str, name: str) -> None:
    """Remove a database, also under open connections."""
    await _execute(admin_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def close_database(connection: "asyncpg.Connection", name: str) -> None:
    """Refuse new connections to a database, and end those that there are."""
    await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name)


@asynccontextmanager
async def clone_database(admin_url: str, template: str | None) -> AsyncGenerator[ClonedDatabase, None]:
    """Create a database for the duration of the block: a clone of the template, or an empty one for `None`."""
    name = f"pollgate_test_{secrets.token_hex(6)}"
    await _execute(admin_url, f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
    try:
        yield urls_of(admin_url, name)
    finally:
        await drop_database(admin_url, name)


class SharedDatabase:
    """A database that several tests use one after the other. Its schema cannot be changed."""

    def __init__(self, urls: ClonedDatabase, connection: asyncpg.Connection, tables: Sequence[str]) -> None:
        self.urls = urls
        self._connection = connection
        self._tables = tables
        self._kept: dict[str, str] = {}

    async def disconnect_others(self) -> None:
        """Terminate connections that services have left open."""
        await self._connection.execute(_END_OTHER_CONNECTIONS)

    async def keep_rows(self) -> None:
        """Let each later `reset` restore the current rows."""
        any_rows = " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in self._tables)
        for table, *_ in await self._connection.fetch(any_rows):
            copy = self._kept[table] = f"pg_temp.{table.replace('.', '_')}"
            await self._connection.execute(f"CREATE TABLE {copy} AS SELECT * FROM {table}")

    async def forget_kept_rows(self) -> None:
        """Let each later `reset` leave no rows."""
        for copy in self._kept.values():
            await self._connection.execute(f"DROP TABLE {copy}")
        self._kept = {}

    async def reset(self, except_for: Collection[str] = ()) -> None:
        """Remove all rows except those of `keep_rows`, from all tables except `except_for`.

        Tables have few rows as a rule, so DELETE takes 2 ms for all of them, where TRUNCATE takes 40 ms.
        """
        tables = [table for table in self._tables if table not in except_for]
        sizes = await self._connection.fetchrow("SELECT " + ", ".join(f"pg_relation_size('{each}')" for each in tables))
        statements = [f"DELETE FROM {table}" for table in tables]
        kept = {table: copy for table, copy in self._kept.items() if table not in except_for}
        statements += [f"INSERT INTO {table} SELECT * FROM {copy}" for table, copy in kept.items()]
        await self._connection.execute("; ".join(statements))
        for table, size in zip(tables, sizes, strict=True):
            if size > SMALL_BYTES:
                await self._connection.execute(f"VACUUM {table}")


@asynccontextmanager
async def run_shared_database(admin_url: str, template: str) -> AsyncGenerator[SharedDatabase, None]:
    """Create a clone of the template for the duration of the block."""
    async with clone_database(admin_url, template) as urls:
        connection = await asyncpg.connect(urls.admin_url)
        try:
            await connection.execute(_REFUSE_CHANGES_OF_THE_SCHEMA)
            await connection.execute("SET session_replication_role = replica")  # no triggers, no foreign keys
            tables = [row["name"] for row in await connection.fetch(_TABLES)]
            yield SharedDatabase(urls, connection, tables)
        finally:
            await connection.close()


_TABLES: Final = """
    SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
    WHERE schemaname IN ('polls', 'token_authority') AND tablename <> 'schema_migrations'
    ORDER BY tablename DESC
"""
"""In this order a guard's report of uses locks rows of token_use and token_day, so that a reset does not deadlock."""
_END_OTHER_CONNECTIONS: Final = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_REFUSE_CHANGES_OF_THE_SCHEMA: Final = """
    CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE 'Other tests use this database too: mark a test that changes the schema with own_database.';
    END $$;
    CREATE EVENT TRIGGER refuse ON ddl_command_start EXECUTE FUNCTION public.refuse();
"""


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
