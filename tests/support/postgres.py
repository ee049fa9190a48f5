"""The database from outside of the services."""

from typing import Any, Final

import asyncpg

from tests.support.databases import ClonedDatabase

SLOW_COMMIT_S: Final = 0.6


async def fetch(url: str, query: str, *arguments: Any) -> list[Any]:
    """The rows of one query on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()


async def slow_down_commits(database: ClonedDatabase) -> None:
    """Each commit that changes tokens takes `SLOW_COMMIT_S` from now on."""
    for statement in (
        "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql"
        f" AS 'BEGIN PERFORM pg_sleep({SLOW_COMMIT_S}); RETURN NULL; END'",
        "CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON token_authority.token DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION public.wait()",
    ):
        await fetch(database.admin_url, statement)
