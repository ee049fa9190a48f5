"""The settings pages among many tokens: the kinds of requests, and how heavy a page is."""

import random
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode, urlsplit

import aiohttp

from bench.errors import BenchError
from bench.tokens_data import ABSENT, FREQUENT, OWNERS, RARE, selector, workspace
from bench.tokens_requests import Calls, RequestKind

PAGE_LIMIT_MS: Final = 100.0
MAX_PAGE_BYTES: Final = 60_000
MAX_FILE_BYTES: Final = 40_000
"""Of styles and scripts together."""
_LIST: Final = "/settings/tokens"
_REVIEW: Final = "/settings/review"
_FILE: Final = re.compile(r'(?:href|src)="(/settings/static/[^"]+\.(?:css|js))"')


async def sign_in(session: aiohttp.ClientSession, admin_key: str, url: str) -> None:
    """Give the session of HTTP requests a session of an administrator. Raise `BenchError`."""
    form, headers = {"admin_key": admin_key}, {"Origin": url}
    async with session.post("/settings/sign-in", data=form, headers=headers, allow_redirects=False) as response:
        if response.status != 303:
            raise BenchError(f"signing in returned {response.status}")


def kinds_of_pages(ids: list[str], rng: random.Random) -> Iterator[RequestKind]:
    """Yield every kind of page."""

    def listed(**draws: str) -> str:
        return f"{_LIST}?{urlencode(draws)}"

    yield RequestKind("page: list", lambda: _LIST)
    yield RequestKind("page: list by last use", lambda: listed(sort="last_used_at", descending="true"))
    for status in ("active", "expiring", "disabled", "revoked"):
        yield RequestKind(f"page: list, {status}", lambda status=status: listed(status=status))  # type: ignore[misc]
    yield RequestKind("page: search, frequent", lambda: listed(search=FREQUENT))
    yield RequestKind("page: search, one letter", lambda: listed(search=rng.choice("aeiost")))
    yield RequestKind("page: search, rare", lambda: listed(search=RARE))
    yield RequestKind("page: search, absent", lambda: listed(search=ABSENT))
    yield RequestKind("page: can touch a place", lambda: listed(scope=selector(rng)))
    yield RequestKind("page: search and scope", lambda: listed(search=FREQUENT, scope=workspace(rng)))
    yield RequestKind("page: owner", lambda: listed(owner=f"person-{rng.randrange(OWNERS):03}@example.com"))
    yield RequestKind("page: unused and expiring", lambda: listed(unused="90", expires="30"))
    yield RequestKind("page: review", lambda: _REVIEW)
    for kind in ("unused", "reaches_any", "owner_inactive"):
        yield RequestKind(f"page: review, {kind}", lambda kind=kind: f"{_REVIEW}?kind={kind}")  # type: ignore[misc]
    yield RequestKind("page: one token", lambda: f"{_LIST}/{rng.choice(ids)}")


async def weigh(calls: Calls, kinds: list[RequestKind]) -> tuple[int, int]:
    """Return the bytes of the heaviest page, and of all styles and scripts together, without compression."""
    pages = [(await calls.send("GET", kind.draw()))[0] for kind in kinds]
    files = {path for page in pages for path in _FILE.findall(page.decode())}
    sizes = [len((await calls.send("GET", urlsplit(path).path))[0]) for path in sorted(files)]
    return max(map(len, pages)), sum(sizes)
