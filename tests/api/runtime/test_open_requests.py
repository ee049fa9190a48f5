"""One address cannot keep a process busy with requests that need no credential."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry

from shared.runtime.http.application import create_application
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.open_requests import MAX_ADDRESSES, OpenRequestLimit
from shared.runtime.http.problem import Problem
from shared.runtime.http.problem_types import ProblemType
from shared.runtime.http.routes import PUBLIC, Access, Excess, Route, add_routes
from shared.runtime.process.serve import listen

LIMIT: Final = 6
HOST: Final = "127.0.0.1"
ONE, OTHER = "203.0.113.7", "198.51.100.1"
UNKNOWN: Final = ProblemType("unknown", 401, "Unknown", "Unknown.", "Know it.")


class Unknown(Exception):
    """The credential is unknown: 401."""


def _only_for_friends(handler: Handler) -> Handler:
    async def wrapper(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != "friend":
            raise Unknown
        return await handler(request)

    return wrapper


async def _greet(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Site:
    """A running application, and the clock of its limit."""

    def __init__(self, session: aiohttp.ClientSession, base: str, clock: Clock, limit: OpenRequestLimit) -> None:
        self.clock = clock
        self.limit = limit
        self._session = session
        self._base = base

    async def get(self, path: str, address: str = ONE, headers: Mapping[str, str] = {}) -> aiohttp.ClientResponse:
        forwarded = {"X-Forwarded-For": address, **headers}
        async with self._session.get(self._base + path, headers=forwarded) as response:
            await response.read()
            return response

    async def statuses(self, path: str, times: int, address: str = ONE, headers: Mapping[str, str] = {}) -> list[int]:
        return [(await self.get(path, address, headers)).status for _ in range(times)]

    @property
    def slowed(self) -> float:
        """The requests that waited."""
        registry = CollectorRegistry()
        self.limit.register(registry)
        return registry.get_sample_value("pollgate_open_requests_slowed_total") or 0.0


@asynccontextmanager
async def run_site(wait_s: float = 0.0) -> AsyncGenerator[Site, None]:
    """Run an application with a route of each kind, with one trusted proxy in front."""
    clock = Clock()
    limit = OpenRequestLimit(LIMIT, 1, clock=clock, wait_s=wait_s, brief_wait_s=wait_s)
    app = create_application({Unknown: lambda _: Problem(UNKNOWN, "Unknown.")}, str, open_requests=limit)
    routes = [
        Route("GET", "/open", Endpoint(_greet), PUBLIC, excess=Excess.REFUSE),
        Route("GET", "/revoke", Endpoint(_greet), PUBLIC, excess=Excess.WAIT),
        Route("GET", "/livez", Endpoint(_greet), PUBLIC, excess=Excess.WAIT_BRIEFLY),
        Route("GET", "/friends", Endpoint(_greet), Access(_only_for_friends)),
    ]
    add_routes(app, routes)
    async with listen(app, HOST, 0) as port, aiohttp.ClientSession() as session:
        yield Site(session, f"http://{HOST}:{port}", clock, limit)


async def test_open_request_beyond_limit_returns_429_until_one_is_allowed() -> None:
    async with run_site() as site:
        within = await site.statuses("/open", LIMIT)
        beyond = await site.get("/open")
        site.clock.now_s += int(beyond.headers["Retry-After"])
        later = await site.statuses("/open", 2)

    assert within == [200] * LIMIT
    assert beyond.status == 429
    assert beyond.headers["Retry-After"] == "10"  # 60 s for 6 requests
    assert later == [200, 429]


async def test_unmatched_path_counts() -> None:
    async with run_site() as site:
        statuses = await site.statuses("/nothing", LIMIT + 1)

    assert statuses == [404] * LIMIT + [429]


async def test_other_address_is_not_limited_and_ipv6_addresses_of_one_network_are_one() -> None:
    async with run_site() as site:
        await site.statuses("/open", LIMIT + 1, "2001:db8::1")
        same, other, v4 = [(await site.get("/open", each)).status for each in ("2001:db8::2", "2001:db8:0:1::1", OTHER)]

    assert (same, other, v4) == (429, 200, 200)


async def test_request_that_may_have_a_credential_is_handled_beyond_limit() -> None:
    async with run_site() as site:
        await site.statuses("/open", LIMIT)
        statuses = [(await site.get(path)).status for path in ("/revoke", "/livez")]
        slowed = site.slowed

    assert statuses == [200, 200]
    assert slowed == 2


async def test_request_with_valid_credential_neither_counts_nor_waits() -> None:
    friend = {"Authorization": "friend"}
    async with run_site(wait_s=60) as site:
        statuses = await site.statuses("/friends", 2 * LIMIT, headers=friend)
        opened = await site.statuses("/open", LIMIT)
        statuses += await site.statuses("/friends", LIMIT, headers=friend)

    assert set(statuses + opened) == {200}


async def test_refused_credentials_count_and_wait_beyond_limit() -> None:
    async with run_site() as site:
        statuses = await site.statuses("/friends", LIMIT + 2)
        slowed = site.slowed

    assert statuses == [401] * (LIMIT + 2)
    assert slowed == 2


async def test_one_connection_beyond_limit_sends_no_more_than_one_request_per_wait() -> None:
    wait_s = 0.2
    async with run_site(wait_s) as site:
        await site.statuses("/open", LIMIT)
        loop = asyncio.get_running_loop()
        started = loop.time()
        statuses = await site.statuses("/open", 3)
        took_s = loop.time() - started

    assert statuses == [429] * 3
    assert took_s >= 3 * wait_s * 0.99


def test_addresses_are_remembered_in_bounded_memory() -> None:
    limit = OpenRequestLimit(LIMIT, 0, clock=Clock())

    for number in range(MAX_ADDRESSES + 100):
        limit._take(f"10.0.{number // 256}.{number % 256}")

    assert len(limit._full_at) == MAX_ADDRESSES
