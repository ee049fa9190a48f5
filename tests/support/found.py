"""Tokens as a test arranges them, with a past that no API gives, and what a list or a review finds of them."""

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import asyncpg

from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Answer, Authority

OTHER_SITE = "site_of_others"


async def add_site(database: ClonedDatabase) -> str:
    """Another installation; its id."""
    query = "INSERT INTO token_authority.site VALUES ($1, 'Others', $2, now())"
    await fetch(database.admin_url, query, OTHER_SITE, "o" * 27)
    return OTHER_SITE


async def make_past(
    database: ClonedDatabase,
    token_id: str,
    *,
    made: timedelta | datetime | None = None,
    used: timedelta | datetime | None = None,
) -> None:
    """As if it had been made, and used last, so long ago, or then."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        for table, key, column, at in (
            ("token", "id", "created_at", made),
            ("token_use", "token_id", "made_at", made),
            ("token_use", "token_id", "last_used_at", used),
        ):
            if at is not None:
                value = "now() - $2::interval" if isinstance(at, timedelta) else "$2::timestamptz"
                statement = f"UPDATE token_authority.{table} SET {column} = {value} WHERE {key} = $1"
                await connection.execute(statement, token_id, at)
    finally:
        await connection.close()


async def end(database: ClonedDatabase, token_id: str) -> None:
    """As if its end had come."""
    statement = "UPDATE token_authority.token SET expires_at = now() - interval '1 day' WHERE id = $1"
    await fetch(database.admin_url, statement, token_id)


class Reader:
    """Someone with an admin key who looks at tokens."""

    def __init__(self, authority: Authority, admin_key: str | None = None) -> None:
        self._authority = authority
        self._headers = {"Authorization": f"Bearer {admin_key or authority.admin_key}"}

    async def get(self, path: str, **query: Any) -> Answer:
        """One answer."""
        written = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
        return await self._authority("GET", f"{path}?{urlencode(written)}", headers=self._headers)

    async def pages(self, path: str = "/v1/tokens", **query: Any) -> AsyncGenerator[list[Any], None]:
        """The items of each page, to the last."""
        cursor: dict[str, str] = {}
        while True:
            answer = await self.get(path, **query, **cursor)
            assert answer.status == 200, answer.body
            yield answer.json["items"]
            if answer.json["next"] is None:
                return
            cursor = {"cursor": answer.json["next"]}

    async def all(self, path: str = "/v1/tokens", **query: Any) -> list[Any]:
        """The items of all pages."""
        return [item async for page in self.pages(path, **query) for item in page]

    async def names(self, **query: Any) -> list[str]:
        """The names of the tokens that meet conditions, in order."""
        return [token["name"] for token in await self.all(**query)]


async def reader(authority: Authority, **fields: Any) -> Reader:
    """One whose new admin key has this role and these limits."""
    answer = await authority.manage("POST", "/v1/admin-keys", {"name": "a reader", **fields})
    assert answer.status == 201, answer.body
    return Reader(authority, answer.json["key"])
