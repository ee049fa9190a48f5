"""The connection to a token authority, and how the methods of `AuthorityClient` use it."""

from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any, Final, TypeVar

from pollgate.client.arguments import require_idempotency_key
from pollgate.client.authority_models import (
    BulkRevocation,
)
from pollgate.client.encoding import Query
from pollgate.client.errors import if_outcome_unknown
from pollgate.client.pagination import Page, each_item
from pollgate.client.transport import CALL_LIMIT_S, Arguments, HttpClient, Transport
from pollgate.client.transport import Service as HttpService

AUTHORITY: Final = HttpService("token authority", "AuthorityClient", "admin_key", "http://127.0.0.1:8081")
EFFECT_LIMIT_S: Final = 100.0
"""A revocation waits for disconnected guards until their leases expire, which takes up to 60 seconds."""
MAX_PAGE: Final = 200


T = TypeVar("T")


class AuthorityBase(HttpClient):
    """Opens and closes the connection, and sends requests to the token authority."""

    def __init__(self, url: str, admin_key: str) -> None:
        self._transport = Transport(AUTHORITY, url, admin_key)

    async def _create(self, path: str, kind: type[T], body: Any, idempotency_key: str | None) -> T:
        """Create a secret. Without a key, a lost response loses the secret."""
        consequence = "it may have been created" + ("" if idempotency_key else ", with a secret that is lost")
        with if_outcome_unknown(consequence, is_repeatable=idempotency_key is not None):
            headers = idempotency_headers(idempotency_key)
            return await self._transport.call("POST", path, kind, body=body, headers=headers)

    async def _change(
        self, method: str, path: str, kind: type[T], *, wait: bool, body: Any = None, named: str | None = None
    ) -> T:
        limit_s = EFFECT_LIMIT_S if wait or kind is BulkRevocation else CALL_LIMIT_S
        arguments = Arguments({"": (named, body)} if named else {})
        with if_outcome_unknown("the change may have been made", is_repeatable=True):
            return await self._transport.call(
                method, path, kind, query=wait_query(wait), body=body, limit_s=limit_s, arguments=arguments
            )

    def _pages(
        self,
        path: str,
        kind: type[Page[T]],
        conditions: Mapping[str, Any],
        limit: int | None = None,
        position: str = "cursor",
    ) -> AsyncIterator[T]:
        def read(query: Query) -> Awaitable[Page[T]]:
            return self._transport.call("GET", path, kind, query=query)

        return each_item(read, conditions, limit, page_size=MAX_PAGE, position=position)


def idempotency_headers(key: str | None) -> dict[str, str]:
    """Return the header of a request that may be repeated by its key. Raise `InvalidArgument`."""
    if key is None:
        return {}
    require_idempotency_key(key)
    return {"Idempotency-Key": key}


def wait_query(wait: bool) -> dict[str, str]:
    """Return the query of a change that is waited for, or not."""
    return {} if wait else {"wait": "false"}
