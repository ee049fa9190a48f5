"""A look into the database from outside of the services."""

from typing import Any

import asyncpg


async def fetch(url: str, query: str, *arguments: Any) -> list[Any]:
    """The rows of one query on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()
