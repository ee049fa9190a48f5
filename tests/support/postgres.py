"""Read and change the database directly."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from tests.support.databases import ClonedDatabase

SLOW_COMMIT_S: Final = 0.6
_WAITING: Final = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def fetch(url: str, query: str, *arguments: Any) -> list[Any]:
    """Return the rows of one query on a new connection."""
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()


@asynccontextmanager
async def hold_rows(database: ClonedDatabase, table: str, waiting: int) -> AsyncGenerator[None, None]:
    """Lock the rows of a table during the block, and then until `waiting` statements wait for locks."""
    holder = await asyncpg.connect(database.admin_url)
    try:
        async with holder.transaction(), asyncio.timeout(10):
            await holder.execute(f"SELECT FROM {table} FOR UPDATE")
            yield
            await wait_for_blocked(database, waiting)
    finally:
        await holder.close()


@asynccontextmanager
async def hold_lock(database: ClonedDatabase, key: int) -> AsyncGenerator[None, None]:
    """Hold an advisory lock during the block."""
    holder = await asyncpg.connect(database.admin_url)
    try:
        await holder.execute(f"SELECT pg_advisory_lock({key})")
        yield
    finally:
        await holder.close()


async def wait_for_blocked(database: ClonedDatabase, count: int) -> None:
    """Wait until `count` statements wait for locks, which they do for 0.8 seconds at most."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        while len(await connection.fetch(_WAITING)) < count:
            await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def count_blocked(database: ClonedDatabase) -> int:
    """Return the number of statements that wait for locks."""
    return len(await fetch(database.admin_url, _WAITING))


async def copy_token(database: ClonedDatabase, token_id: str, count: int) -> None:
    """Insert more tokens like this one, each with an unknown secret."""
    for statement in (
        "INSERT INTO token_authority.token (id, site_id, name, scopes, reach, hint, created_by, created_at, owner) "
        "SELECT 'tok_' || n, site_id, name, scopes, reach, hint, created_by, created_at, owner "
        f"FROM token_authority.token, generate_series(1, {count}) AS n WHERE id = $1",
        "INSERT INTO token_authority.secret (id, holder_kind, holder_id, digest, hint, created_at) "
        "SELECT 'sec_' || id, 'token', id, sha256(id::bytea), hint, created_at "
        "FROM token_authority.token WHERE id <> $1",
        "INSERT INTO token_authority.token_use (token_id, uses) SELECT id, 0 FROM token_authority.token WHERE id <> $1",
    ):
        await fetch(database.admin_url, statement, token_id)


async def slow_down_commits(database: ClonedDatabase) -> None:
    """Let each later commit that changes tokens take `SLOW_COMMIT_S`."""
    for statement in (
        "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql"
        f" AS 'BEGIN PERFORM pg_sleep({SLOW_COMMIT_S}); RETURN NULL; END'",
        "CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON token_authority.token DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION public.wait()",
    ):
        await fetch(database.admin_url, statement)
