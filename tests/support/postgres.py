"""The database from outside of the services."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from tests.support.databases import ClonedDatabase

SLOW_COMMIT_S: Final = 0.6
_WAITING: Final = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def fetch(url: str, query: str, *arguments: Any) -> list[Any]:
    """The rows of one query on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()


@asynccontextmanager
async def rows_held(database: ClonedDatabase, table: str, waiting: int) -> AsyncGenerator[None, None]:
    """Lock a table's rows for the length of the block and until so many statements wait for them."""
    holder = await asyncpg.connect(database.admin_url)
    try:
        async with holder.transaction(), asyncio.timeout(10):
            await holder.execute(f"SELECT FROM {table} FOR UPDATE")
            yield
            await until_waiting(database, waiting)
    finally:
        await holder.close()


async def until_waiting(database: ClonedDatabase, count: int) -> None:
    """Return once so many statements wait for locks."""
    while await how_many_wait(database) < count:
        await asyncio.sleep(0.01)


async def how_many_wait(database: ClonedDatabase) -> int:
    """Statements that wait for locks."""
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
    """Each commit that changes tokens takes `SLOW_COMMIT_S` from now on."""
    for statement in (
        "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql"
        f" AS 'BEGIN PERFORM pg_sleep({SLOW_COMMIT_S}); RETURN NULL; END'",
        "CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON token_authority.token DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION public.wait()",
    ):
        await fetch(database.admin_url, statement)
