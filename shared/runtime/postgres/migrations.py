"""Bring one service's schema up to the code: numbered SQL files, a table of those applied, and one lock around both.

With the lock, several processes may start on an empty database at once. The service's role owns nothing: it has the
rights that the files grant it, and only in its own schema. Files must not change once a release has applied them.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from shared.runtime.postgres.connector import Connector
from shared.runtime.postgres.database import Connection

_LOCK: Final = 0x706F6C6C
"""The key of the advisory lock, "poll" in ASCII. No other application may use it in this database."""
_CONNECT_LIMIT_S: Final = 5.0
_STATEMENT_LIMIT_S: Final = 60.0
_ROLE_ATTEMPTS: Final = 20


@dataclass(frozen=True)
class Schema:
    """A service's schema, and the folder of its migrations, `0001_….sql` and on.

    The login role that the migrations grant rights to has the same name as the schema.
    """

    name: str
    migrations: Path

    def files(self) -> dict[str, Path]:
        """Return the migrations by name, in order."""
        return {file.name: file for file in sorted(self.migrations.glob("[0-9]*.sql"))}


class DatabaseTooNew(Exception):
    """The database has migrations that this code does not know. The newer release has to be started instead."""


class ChangedMigration(Exception):
    """A migration file differs from what was applied. The message names the file and says what to do."""


class NotMigrated(Exception):
    """The schema lacks a migration of this code. `pollgate migrate` has to be run first."""


async def require_migrated(connection: Connection, schema: Schema) -> None:
    """Raise `NotMigrated` unless every migration of this code has been applied."""
    try:
        rows = await connection.fetch(
            f"""
            -- select_migrations: which migrations have been applied
            SELECT name FROM {schema.name}.schema_migrations
            """  # noqa: S608
        )
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.InsufficientPrivilegeError):
        rows = []
    missing = schema.files().keys() - {row["name"] for row in rows}
    if missing:
        raise NotMigrated(f"schema {schema.name} lacks {min(missing)}; run `pollgate migrate` first")


async def migrate(url: str, schema: Schema, role_password: str) -> list[str]:
    """Apply the missing files in one transaction, set the role's password, and return the names of the files applied.

    The role of `url` must be allowed to create roles and schemas. Raise `DatabaseTooNew`, `ChangedMigration`,
    `SettingsError`, `OSError`, or an error of asyncpg.
    """
    connector = Connector(url, limit_s=_CONNECT_LIMIT_S, command_limit_s=_STATEMENT_LIMIT_S, statement_cache=100)
    connection = await connector.connect()
    try:
        await _ensure_role(connection, schema.name, role_password)
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_ENSURE_SCHEMA.format(schema=schema.name))
            return await _apply_missing(connection, schema)
    finally:
        await connection.close(timeout=_CONNECT_LIMIT_S)


async def _apply_missing(connection: "asyncpg.Connection", schema: Schema) -> list[str]:
    table = f"{schema.name}.schema_migrations"
    rows = await connection.fetch(f"SELECT name, checksum FROM {table}")  # noqa: S608
    applied = {row["name"]: row["checksum"] for row in rows}
    contents = {name: file.read_bytes() for name, file in schema.files().items()}
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    _require_known_and_unchanged(schema.name, applied, checksums)
    missing = [name for name in contents if name not in applied]
    for name in missing:
        await connection.execute(contents[name].decode())
        await connection.execute(
            f"INSERT INTO {table} (name, checksum) VALUES ($1, $2)",  # noqa: S608
            name,
            checksums[name],
        )
    # Releases before checksums, which may still be running, leave the column empty.
    await connection.executemany(
        f"UPDATE {table} SET checksum = $2 WHERE name = $1",  # noqa: S608
        [(name, checksums[name]) for name, checksum in applied.items() if checksum is None],
    )
    return missing


def _require_known_and_unchanged(schema: str, applied: Mapping[str, str | None], checksums: Mapping[str, str]) -> None:
    unknown = applied.keys() - checksums.keys()
    if unknown:
        raise DatabaseTooNew(f"schema {schema} has {max(unknown)}, which this release does not know")
    changed = [name for name, checksum in applied.items() if checksum not in (None, checksums[name])]
    if changed:
        raise ChangedMigration(
            f"{min(changed)} of schema {schema} has changed since it was applied; restore the file as it was released, "
            "and put what is to change into a new migration"
        )


_ENSURE_SCHEMA: Final = """
    CREATE SCHEMA IF NOT EXISTS {schema};
    GRANT USAGE ON SCHEMA {schema} TO {schema};
    CREATE TABLE IF NOT EXISTS {schema}.schema_migrations (
        name text PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT now()
    );
    ALTER TABLE {schema}.schema_migrations ADD COLUMN IF NOT EXISTS checksum text;
    GRANT SELECT ON {schema}.schema_migrations TO {schema};
"""


# A statement is cancelled on the server before its client gives up (`STATEMENT_LIMIT_S`). So a statement that was
# reported as failed has no effect later, and connections do not queue up for a lock. No parallel workers: starting them
# takes longer than the queries of a service. No JIT, which is for long queries: asyncpg would switch it off and on for
# a session, which a pooler may give to another client meanwhile. Enough memory for the rows that a search finds: beyond
# it, PostgreSQL only remembers their pages, and computes the expression of the index for each row in them again.
_ROLE_SETTINGS: Final = {
    "statement_timeout": "900ms",
    "lock_timeout": "800ms",
    "idle_in_transaction_session_timeout": "2s",
    "client_connection_check_interval": "1s",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "work_mem": "32MB",
}


async def _ensure_role(connection: "asyncpg.Connection", role: str, password: str) -> None:
    """Create or alter the role. Try again on a conflict: roles belong to the server, the lock only to the database."""
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
