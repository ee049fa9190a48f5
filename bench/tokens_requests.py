"""The kinds of requests that find and review tokens, each with a function that draws another request."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, get_args
from urllib.parse import urlencode

import aiohttp
import msgspec

from bench.errors import BenchError
from bench.tokens_data import ABSENT, FREQUENT, OWNERS, RARE, SITES, selector, workspace
from pollgate.client.problems import read_problem
from services.token_authority.domain.review import FINDING_KINDS
from services.token_authority.domain.selection import StatusFilter

BASELINE: Final = "show one token"
SORTS: Final = ("name", "owner", "site", "created_at", "expires_at", "last_used_at")
PAGES: Final = 50
"""How many pages a deep page is from the first one at most."""
LIST: Final = "/v1/tokens"
REVIEW: Final = "/v1/tokens/review"

Draw = Callable[[], str]
DrawQuery = Callable[[], Mapping[str, str]]


class RequestFailed(BenchError):
    """A request that did not succeed. `reason` is the same for all that fail in the same way."""

    def __init__(self, what: str, status: int, detail: str) -> None:
        self.reason = f"{status}: {detail}"
        super().__init__(f"{what} returned {self.reason}")


class Calls:
    """Sends requests as an administrator."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, method: str, path: str, body: Any = None) -> tuple[bytes, float]:
        """Return the body and the milliseconds until it was read. Raise `BenchError` unless the request succeeds."""
        sent_at = time.perf_counter()
        async with self._session.request(method, path, json=body) as response:
            content = await response.read()
        elapsed_ms = (time.perf_counter() - sent_at) * 1000
        if response.status >= 300:
            detail = read_problem(content).detail or repr(content[:200])
            raise RequestFailed(f"{method} {path}", response.status, detail)
        return content, elapsed_ms

    async def get(self, path: str, query: Mapping[str, str]) -> Any:
        """Return the decoded body of a GET."""
        content, _ = await self.send("GET", _path(path, query))
        return msgspec.json.decode(content)


class RequestKind(NamedTuple):
    """A kind of request. `draw` returns the path and query of another one."""

    name: str
    draw: Draw


async def first_ids(calls: Calls) -> list[str]:
    """Return the ids of the 200 oldest tokens."""
    return [token["id"] for token in (await calls.get(LIST, {"limit": "200", "sort": "created_at"}))["items"]]


async def kinds_of_requests(calls: Calls, rng: random.Random) -> list[RequestKind]:
    """Return every kind, the baseline first."""
    ids = await first_ids(calls)
    kinds = [RequestKind(BASELINE, lambda: f"{LIST}/{rng.choice(ids)}")]
    for sort in SORTS:
        for descending in ("false", "true"):
            name = f"by {sort}, descending" if descending == "true" else f"by {sort}"
            kinds += await _pages(calls, rng, name, LIST, {"sort": sort, "descending": descending})
    for name, draw in _conditions(rng):
        kinds.append(RequestKind(name, _draw_path(LIST, draw)))
        kinds.append(RequestKind(f"{name}, any order", _draw_path(LIST, draw, lambda: _any_order(rng))))
    kinds += await _pages(calls, rng, "review", REVIEW, {})
    for kind in FINDING_KINDS:
        kinds += await _pages(calls, rng, f"review: {kind}", REVIEW, {"kind": kind})
        kinds.append(
            RequestKind(
                f"review: {kind}, any days", _draw_path(REVIEW, lambda: _any_days(rng), _constant({"kind": kind}))
            )
        )
    return kinds


async def _pages(calls: Calls, rng: random.Random, name: str, path: str, query: Mapping[str, str]) -> list[RequestKind]:
    """Return the kinds "first page" and, if there are more pages, "deep page"."""
    cursors: list[str] = []
    while len(cursors) < PAGES:
        after = {"cursor": cursors[-1]} if cursors else {}
        page = await calls.get(path, {**query, **after, "limit": "200"})
        if page["next"] is None:
            break
        cursors.append(page["next"])
    kinds = [RequestKind(f"{name}: first page", _draw_path(path, _constant(query)))]
    if cursors:
        kinds.append(
            RequestKind(
                f"{name}: deep page", _draw_path(path, _constant(query), lambda: {"cursor": rng.choice(cursors)})
            )
        )
    return kinds


def _conditions(rng: random.Random) -> Iterator[tuple[str, DrawQuery]]:
    def owner() -> str:
        return f"person-{rng.randrange(OWNERS):03}@example.com"

    for status in get_args(StatusFilter):
        yield f"status {status}", _constant({"status": status})
    yield "owner", lambda: {"owner": owner()}
    yield "site", lambda: {"site": rng.choice(SITES)}
    yield "scope: a workspace", lambda: {"scope": workspace(rng)}
    yield "scope: a place", lambda: {"scope": selector(rng)}
    yield "scope: an action at a place", lambda: {"scope": f"polls:vote:{selector(rng)}"}
    yield "scope: anything", _constant({"scope": "ANY"})
    yield "scope: an action", _constant({"scope": "polls:delete:*"})
    yield "created in a month", lambda: _month(rng, "created", -1000)
    yield "used after", lambda: {"used_after": _in_days(-rng.uniform(0, 300))}
    yield "unused since", lambda: {"unused_since": _in_days(-rng.uniform(0, 500))}
    yield "ends in a month", lambda: _month(rng, "expires", 300)
    yield "search: frequent", _constant({"search": FREQUENT})
    yield "search: one letter", lambda: {"search": rng.choice("aeiost")}
    yield "search: two letters", lambda: {"search": rng.choice(("re", "po", "qx", "zz"))}
    yield "search: a workspace", lambda: {"search": workspace(rng)}
    yield "search: a number", lambda: {"search": f"({rng.randrange(100_000)})"}
    yield "search: rare", _constant({"search": RARE})
    yield "search: absent", _constant({"search": ABSENT})
    yield "search and owner", lambda: {"search": FREQUENT, "owner": owner()}
    yield "search, scope and status", lambda: {"search": FREQUENT, "scope": workspace(rng), "status": "active"}
    yield "six conditions", lambda: _six(rng, owner())


def _six(rng: random.Random, owner: str) -> Mapping[str, str]:
    return {
        "owner": owner,
        "scope": "ANY",
        "status": "active",
        "search": rng.choice(("e", "report", "the")),
        "used_after": _in_days(-300),
        "created_before": _in_days(-10),
    }


def _constant(query: Mapping[str, str]) -> DrawQuery:
    return lambda: query


def _draw_path(path: str, *draws: DrawQuery) -> Draw:
    return lambda: _path(path, {name: value for draw in draws for name, value in draw().items()})


def _path(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}"


def _any_order(rng: random.Random) -> Mapping[str, str]:
    return {"sort": rng.choice(SORTS), "descending": rng.choice(("false", "true"))}


def _any_days(rng: random.Random) -> Mapping[str, str]:
    return {"unused_days": rng.choice(("30", "60", "180", "365")), "expiring_days": rng.choice(("1", "14", "30", "90"))}


def _month(rng: random.Random, what: str, days: int) -> Mapping[str, str]:
    """Draw a range of 30 days that begins up to `days` days from now, before now if negative."""
    begins = days * rng.random()
    return {f"{what}_after": _in_days(begins), f"{what}_before": _in_days(begins + 30)}


def _in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()
