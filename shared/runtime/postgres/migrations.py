"""Brings one service's schema up to the code: numbered SQL files, a table of those applied, one lock around it all.

The lock is what lets several processes start at once on an empty database. The service's role owns nothing: it may
do what the files grant it, and only in its own schema.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from shared.runtime.postgres.database import Connection

_LOCK: Final = 0x706F6C6C  # any number that others do not use: "poll"
_CONNECT_LIMIT_S: Final = 5.0
_STATEMENT_LIMIT_S: Final = 60.0
_ROLE_ATTEMPTS: Final = 20


@dataclass(frozen=True)
class Schema:
    """A service's schema and the login role of the same name that its files, `0001_….sql` and on, grant rights to."""

    name: str
    migrations: Path

    def files(self) -> dict[str, Path]:
        """The migrations by name, in order."""
        return {file.name: file for file in sorted(self.migrations.glob("[0-9]*.sql"))}


class DatabaseTooNew(Exception):
    """The database has migrations that this code does not know: start the newer release instead."""


class NotMigrated(Exception):
    """The schema lacks what this code needs: run `pollgate migrate` first."""


async def require_migrated(connection: Connection, schema: Schema) -> None:
    """Raises `NotMigrated` unless every migration of this code has been applied."""
    try:
        rows = await connection.fetch(
            f"""
            -- select_migrations: what has been applied
            SELECT name FROM {schema.name}.schema_migrations
            """  # noqa: S608
        )
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.InsufficientPrivilegeError):
        rows = []
    missing = schema.files().keys() - {row["name"] for row in rows}
    if missing:
        raise NotMigrated(f"schema {schema.name} lacks {min(missing)}; run `pollgate migrate` first")


async def migrate(url: str, schema: Schema, role_password: str) -> list[str]:
    """Apply what is missing, in one transaction, and set the role's password; the names of the files applied.

    `url` is of a role that may create roles and schemas. Raises `DatabaseTooNew`, or what asyncpg raises.
    """
    connection = await asyncpg.connect(url, timeout=_CONNECT_LIMIT_S, command_timeout=_STATEMENT_LIMIT_S)
    try:
        await _ensure_role(connection, schema.name, role_password)
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_ENSURE_SCHEMA.format(schema=schema.name))
            rows = await connection.fetch(f"SELECT name FROM {schema.name}.schema_migrations")  # noqa: S608
            applied = {row["name"] for row in rows}
            files = schema.files()
            unknown = applied - files.keys()
            if unknown:
                raise DatabaseTooNew(f"schema {schema.name} has {max(unknown)}, which this release does not know")
            missing = [name for name in files if name not in applied]
            for name in missing:
                await connection.execute(files[name].read_text(encoding="utf-8"))
                await connection.execute(
                    f"INSERT INTO {schema.name}.schema_migrations (name) VALUES ($1)",  # noqa: S608
                    name,
                )
            return missing
    finally:
        await connection.close(timeout=_CONNECT_LIMIT_S)


_ENSURE_SCHEMA: Final = """
    CREATE SCHEMA IF NOT EXISTS {schema};
    GRANT USAGE ON SCHEMA {schema} TO {schema};
    CREATE TABLE IF NOT EXISTS {schema}.schema_migrations (
        name text PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT now()
    );
    GRANT SELECT ON {schema}.schema_migrations TO {schema};
"""


# A statement ends on the server before its client gives it up (`STATEMENT_LIMIT_S`): what a caller is told has failed
# is not done after all, and connections cannot pile up behind a lock. It takes one processor: to start helpers takes
# longer than what a service asks for.
_ROLE_SETTINGS: Final = {
    "statement_timeout": "900ms",
    "lock_timeout": "800ms",
    "idle_in_transaction_session_timeout": "2s",
    "client_connection_check_interval": "1s",
    "max_parallel_workers_per_gather": "0",
}


async def _ensure_role(connection: "asyncpg.Connection", role: str, password: str) -> None:
    """Roles belong to the whole server, where our lock does not reach: who loses a race tries again."""
    for attempts_left in reversed(range(_ROLE_ATTEMPTS)):
        try:
            async with connection.transaction():
                return await _write_role(connection, role, password)
        except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError, asyncpg.InternalServerError):
            if not attempts_left:
                raise
            await asyncio.sleep(0.1)
    return None


async def _write_role(connection: "asyncpg.Connection", role: str, password: str) -> None:
    exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
    verb = "ALTER" if exists else "CREATE"
    quoted = await connection.fetchval("SELECT quote_literal($1::text)", password)
    await connection.execute(
        f"{verb} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD {quoted}"
    )
    for setting, value in _ROLE_SETTINGS.items():
        await connection.execute(f"ALTER ROLE {role} SET {setting} = '{value}'")
