"""Lists that are longer than a page."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct

from pollgate.client.arguments import require_limit
from pollgate.client.encoding import Query, query_of

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """One page of a list; `next` is the position of the page after it, and `None` on the last page."""

    items: list[T]
    next: str | int | None = None


async def each_item(
    read: Callable[[Query], Awaitable[Page[T]]],
    conditions: Mapping[str, Any],
    limit: int | None,
    *,
    page_size: int,
    position: str = "cursor",
) -> AsyncIterator[T]:
    """Yield the items of one page after the other, `limit` at most. `position` is the parameter that takes `next`."""
    require_limit(limit)
    after, left = None, sys.maxsize if limit is None else limit
    while left > 0:
        page = await read(query_of({**conditions, "limit": min(left, page_size), position: after}))
        for item in page.items:
            yield item
        after, left = page.next, left - len(page.items)
        if after is None:
            return
