"""The connection to a polls service, and how the methods of `PollsClient` use it."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, TypeVar

from pollgate.client.encoding import Query
from pollgate.client.pagination import Page, each_item
from pollgate.client.retries import with_retries
from pollgate.client.transport import Arguments, HttpClient, Response, Service, Transport

POLLS: Final = Service("polls service", "PollsClient", "token", "http://127.0.0.1:8080")
MAX_PAGE: Final = 100
EDIT_LIMIT_S: Final = 60.0
"""An edit or a deletion may concern a million ballots."""
CONDITIONS: Final = Arguments({"expand": ("with_results", None)})

T = TypeVar("T")


class PollsBase(HttpClient):
    """Opens and closes the connection, and sends requests to the polls service."""

    def __init__(self, url: str, token: str) -> None:
        self._transport = Transport(POLLS, url, token)

    async def _send(self, method: str, path: str, **options: Any) -> Response:
        """Send a request that can be repeated without harm."""
        return await with_retries(lambda: self._transport.send(method, path, **options))

    def _pages(
        self, path: str, kind: type[Page[T]], conditions: Mapping[str, Any], limit: int | None
    ) -> AsyncIterator[T]:
        async def read(query: Query) -> Page[T]:
            return self._transport.decode(await self._send("GET", path, query=query, arguments=CONDITIONS), kind)

        return each_item(read, conditions, limit, page_size=MAX_PAGE)
