"""Give tokens a past that the API cannot give them, rotate them, and read lists and reviews of tokens."""

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
    """Insert another site and return its id."""
    query = "INSERT INTO token_authority.site VALUES ($1, 'Others', $2, now())"
    await fetch(database.admin_url, query, OTHER_SITE, "o" * 27)
    return OTHER_SITE


async def backdate(
    database: ClonedDatabase,
    token_id: str,
    *,
    created: timedelta | datetime | None = None,
    used: timedelta | datetime | None = None,
) -> None:
    """Set when the token was created and last used: a time, or how long ago."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        for table, key, column, at in (
            ("token", "id", "created_at", created),
            ("token_use", "token_id", "made_at", created),
            ("token_use", "token_id", "last_used_at", used),
        ):
            if at is not None:
                value = "now() - $2::interval" if isinstance(at, timedelta) else "$2::timestamptz"
                statement = f"UPDATE token_authority.{table} SET {column} = {value} WHERE {key} = $1"
                await connection.execute(statement, token_id, at)
    finally:
        await connection.close()


async def expire_token(database: ClonedDatabase, token_id: str) -> None:
    """Set the expiry of the token to yesterday."""
    statement = "UPDATE token_authority.token SET expires_at = now() - interval '1 day' WHERE id = $1"
    await fetch(database.admin_url, statement, token_id)


async def rotate(authority: Authority, token_id: str, key: str | None = None, **body: Any) -> Answer:
    """Rotate a token with the admin key; `key` is an idempotency key."""
    headers = {**authority.admin, **({"Idempotency-Key": key} if key else {})}
    return await authority("POST", f"/v1/tokens/{token_id}/rotate", headers=headers, json=body)


async def are_active(authority: Authority, *secrets: str) -> list[bool]:
    """Return for each secret of a token whether it works."""
    return [(await authority.introspect(secret)).json["active"] for secret in secrets]


class Reader:
    """A client with an admin key that reads tokens."""

    def __init__(self, authority: Authority, admin_key: str | None = None) -> None:
        self._authority = authority
        self._headers = {"Authorization": f"Bearer {admin_key or authority.admin_key}"}

    async def get(self, path: str, **query: Any) -> Answer:
        """Send a GET request and return the response."""
        parameters = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
        return await self._authority("GET", f"{path}?{urlencode(parameters, doseq=True)}", headers=self._headers)

    async def post(self, path: str, body: Any) -> Answer:
        """Send a POST request with a JSON body and return the response."""
        return await self._authority("POST", path, headers=self._headers, json=body)

    async def list_pages(self, path: str = "/v1/tokens", **query: Any) -> AsyncGenerator[list[Any], None]:
        """Yield the items of each page, up to and including the last page."""
        cursor: dict[str, str] = {}
        while True:
            answer = await self.get(path, **query, **cursor)
            assert answer.status == 200, answer.body
            yield answer.json["items"]
            if answer.json["next"] is None:
                return
            cursor = {"cursor": answer.json["next"]}

    async def list_all(self, path: str = "/v1/tokens", **query: Any) -> list[Any]:
        """Return the items of all pages."""
        return [item async for page in self.list_pages(path, **query) for item in page]

    async def list_names(self, **query: Any) -> list[str]:
        """Return the names of the tokens that meet the conditions, in the order of the list."""
        return [token["name"] for token in await self.list_all(**query)]


async def create_reader(authority: Authority, **fields: Any) -> Reader:
    """Create an admin key with these fields, and return a client that uses it."""
    answer = await authority.manage("POST", "/v1/admin-keys", {"name": "a reader", **fields})
    assert answer.status == 201, answer.body
    return Reader(authority, answer.json["key"])
