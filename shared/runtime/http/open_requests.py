"""Limit the requests that an address sends without a credential, so that it cannot keep a process busy.

The requests on open routes count, and those on other routes that are refused with 401 or 429
or led to a sign-in page. Each address may send a
minute's requests at once, and then as many as are allowed per second.

To refuse a request takes about as much processor time as to answer a small one. So a request beyond the limit waits
first. An address can then send no more requests per second than it may have connections. No valid credential is
refused: a request that may contain one is handled after the wait, and other requests with a valid one do not count.

Each process counts on its own, in bounded memory and without Redis: this has to cost less than what it limits.
"""

import asyncio
from collections.abc import Callable
from math import ceil
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, Counter

from shared.runtime.http.address import network_of, read_address
from shared.runtime.http.client_address import client_address
from shared.runtime.http.routes import Excess
from shared.runtime.process.clock import elapsed_s
from shared.runtime.process.recent_keys import RecentKeys

WAIT_S: Final = 1.0
BRIEF_WAIT_S: Final = 0.25
"""Less than the time limit of a probe, which is one second in Kubernetes."""
MAX_WAITING: Final = 2000
"""Requests that wait in one process. Further ones are handled or refused at once."""
MAX_ADDRESSES: Final = 10_000
"""Addresses that a process remembers, about 230 bytes each. The one that has gone unseen for longest goes first."""
WINDOW_S: Final = 60.0
_ROUNDING_S: Final = 1e-6

_log = structlog.get_logger()


_IS_REFUSED: Final = web.RequestKey("is_refused", bool)


def mark_as_refused(request: web.Request) -> None:
    """Count a request that is led to a sign-in page as one without a credential."""
    request[_IS_REFUSED] = True


class TooManyOpenRequests(Exception):
    """The address has sent too many requests on open routes: 429."""

    def __init__(self, limit: int, retry_after_s: int) -> None:
        super().__init__(
            f"At most {limit} requests per minute without a credential are allowed from one address; try again in "
            f"{retry_after_s} s."
        )
        self.retry_after_s = retry_after_s


class OpenRequestLimit:
    """Counts requests per address. Create one instance per application. `proxy_hops` is the number of trusted proxies.

    `wait_s` and `brief_wait_s` are the waits of requests beyond the limit.
    """

    def __init__(
        self,
        per_minute: int,
        proxy_hops: int,
        *,
        clock: Callable[[], float] = elapsed_s,
        wait_s: float = WAIT_S,
        brief_wait_s: float = BRIEF_WAIT_S,
    ) -> None:
        self._per_minute = per_minute
        self._interval_s = WINDOW_S / per_minute
        self._proxy_hops = proxy_hops
        self._clock = clock
        self._waits = {Excess.REFUSE: wait_s, Excess.WAIT: wait_s, Excess.WAIT_BRIEFLY: brief_wait_s}
        self._full_at: dict[str, float] = {}
        """When each address may again send a minute's requests at once, in the order of their last requests."""
        self._waiting = 0
        self._warned = RecentKeys(MAX_ADDRESSES, WINDOW_S, clock)
        self._slowed = Counter(
            "pollgate_open_requests_slowed", "Requests beyond the limit of their address, which wait", registry=None
        )

    def register(self, registry: CollectorRegistry) -> None:
        """Show the metrics in this registry."""
        registry.register(self._slowed)

    def wrap(self, excess: Excess, handler: Handler) -> Handler:
        """Return a handler that counts each request and, beyond the limit, does what `excess` says."""

        async def count_first(request: web.Request) -> web.StreamResponse:
            retry_after_s = await self._count(request, self._waits[excess])
            if retry_after_s and excess is Excess.REFUSE:
                raise TooManyOpenRequests(self._per_minute, ceil(retry_after_s))
            return await handler(request)

        return count_first

    async def slow_down_refusal(self, request: web.Request, status: int) -> None:
        """Count a request that is refused because of its credential. Beyond the limit, wait before its refusal."""
        if status in (401, 429) or _IS_REFUSED in request:
            await self._count(request, self._waits[Excess.WAIT])

    async def _count(self, request: web.Request, wait_s: float) -> float:
        """Count the request and return 0. Beyond the limit, wait, and return the seconds until one is allowed."""
        network = network_of(client_address(request, self._proxy_hops) or read_address(request.remote or ""))
        excess_s = self._take(network)
        if excess_s:
            self._slowed.inc()
            if network not in self._warned:
                self._warned.add(network)
                _log.warning("too many requests without a credential", address=network)
            if self._waiting < MAX_WAITING:
                self._waiting += 1
                try:
                    await asyncio.sleep(wait_s)
                finally:
                    self._waiting -= 1
        return excess_s

    def _take(self, network: str) -> float:
        """Count a request and return 0; if it is beyond the limit, return the seconds until one is allowed."""
        now = self._clock()
        full_at = max(self._full_at.pop(network, now), now) + self._interval_s
        excess_s = max(0.0, full_at - now - WINDOW_S - _ROUNDING_S)
        if excess_s:
            full_at -= self._interval_s  # is not counted
        elif len(self._full_at) >= MAX_ADDRESSES:
            del self._full_at[next(iter(self._full_at))]
        self._full_at[network] = full_at
        return excess_s
