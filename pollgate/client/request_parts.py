"""The parts of a request, made of what a caller gives: a path, a query, and one page after the other."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from pollgate.client.authority_models import Page
from pollgate.client.errors import Sentence
from shared.contract.token import SECRET_PATTERN

T = TypeVar("T")


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are not `None`."""
    return {name: value for name, value in fields.items() if value is not None}


def query_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """Those that are not `None`, as a URL has them."""
    return {name: _parameter(value) for name, value in given(fields).items()}


def segment(name: str, listed_by: str) -> str:
    """An id as part of a path; `listed_by` is the command that shows such ids. Raises `Sentence`."""
    if SECRET_PATTERN.search(name):
        raise Sentence(f"that is a secret, not an id; {listed_by}, show the ids")
    if name in ("", ".", ".."):
        raise Sentence(f"that is not an id; {listed_by}, show the ids")
    return quote(name, safe="")


def participant_segment(participant: str) -> str:
    """A participant as part of a path, whom a client may call as it likes. Raises `Sentence`."""
    if SECRET_PATTERN.search(participant):
        raise Sentence("that is a secret, not a participant")
    if not participant:
        raise Sentence("a participant has a name or an id, which is not empty")
    # Dots alone would be taken for a way through the path.
    return quote(participant, safe="").replace(".", "%2E")


async def each_page(
    read: Callable[[dict[str, str]], Awaitable[Page[T]]],
    conditions: Mapping[str, Any],
    limit: int | None,
    *,
    most: int,
    behind: str = "cursor",
) -> AsyncIterator[T]:
    """What is on each page in turn, up to `limit`; `behind` names the parameter that asks for the next one, which has
    up to `most`.
    """
    after, left = None, sys.maxsize if limit is None else limit
    while left > 0:
        page = await read(query_of({**conditions, "limit": min(left, most), behind: after}))
        for item in page.items:
            yield item
        after, left = page.next, left - len(page.items)
        if after is None:
            return


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)
