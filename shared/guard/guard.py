"""Decides whether a token works, from a cache that forgets a token the moment its revocation arrives.

Every check is made on every request, cached or not: format, expiry, and, by `Caller.require`, scope. The cache is
keyed by the token's SHA-256; the token itself is kept nowhere.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from shared.contract.introspection import Grant
from shared.contract.token import ACCESS_TOKEN, digest, is_well_formed
from shared.guard.cache import ExpiringCache
from shared.guard.errors import GuardUnavailable, TokenInvalid

GRANT_LIFE_S: Final = 5.0
"""How long a grant is believed without asking again: the bound on a revocation that could not be pushed."""
REFUSAL_LIFE_S: Final = 2.0
MAX_GRANTS: Final = 100_000
MAX_REFUSALS: Final = 10_000
MAX_FLIGHTS: Final = 256
"""Introspections under way at once; a flood of made-up tokens may use up these, and no more of the authority."""

Introspect = Callable[[str], Awaitable[Grant | None]]
"""Asks the authority about a token: its grant, or `None`. Raises `GuardUnavailable`."""


class Guard:
    """One a process. `clock` is monotonic and counts lives; `now` is wall time and is compared with `exp`."""

    def __init__(
        self,
        introspect: Introspect,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._introspect = introspect
        self._clock = clock
        self._now = now
        self._grants = ExpiringCache[Grant](size=MAX_GRANTS, life_s=GRANT_LIFE_S, clock=clock)
        self._refusals = ExpiringCache[bool](size=MAX_REFUSALS, life_s=REFUSAL_LIFE_S, clock=clock)
        self._flights: dict[bytes, _Flight] = {}

    async def check(self, token: str) -> Grant:
        """What the token grants. Raises `TokenInvalid`, or `GuardUnavailable` where that cannot be known now."""
        if not is_well_formed(token, ACCESS_TOKEN):
            raise TokenInvalid
        key = digest(token)
        grant = self._grants.get(key)
        if grant is None:
            if self._refusals.get(key):
                raise TokenInvalid
            grant = await self._ask(key, token)
        if grant is None or grant.expires_at_s <= self._now():
            raise TokenInvalid
        return grant

    def forget(self, token_digest: bytes) -> None:
        """The token has changed: what is known of it, or is being asked about it, counts no more."""
        self._grants.drop(token_digest)
        self._refusals.drop(token_digest)
        flight = self._flights.pop(token_digest, None)
        if flight is not None:
            flight.superseded = True

    def forget_all(self) -> None:
        """Any token may have changed: word of it may have been missed."""
        self._grants.clear()
        self._refusals.clear()
        for flight in self._flights.values():
            flight.superseded = True
        self._flights.clear()

    async def _ask(self, key: bytes, token: str) -> Grant | None:
        """One introspection answers all who ask at once; an answer that may be older than a change is asked again."""
        while True:
            flight = self._flights.get(key) or self._take_off(key, token)
            grant = await asyncio.shield(flight.task)
            if not flight.superseded:
                return grant

    def _take_off(self, key: bytes, token: str) -> "_Flight":
        if len(self._flights) >= MAX_FLIGHTS:
            raise GuardUnavailable("too many tokens are being introspected at once")
        flight = _Flight()
        flight.task = asyncio.create_task(self._fly(flight, key, token))
        flight.task.add_done_callback(_retrieve)
        self._flights[key] = flight
        return flight

    async def _fly(self, flight: "_Flight", key: bytes, token: str) -> Grant | None:
        asked_at = self._clock()
        try:
            grant = await self._introspect(token)
            if not flight.superseded:
                if grant is None:
                    self._refusals.put(key, True, asked_at)
                else:
                    self._grants.put(key, grant, asked_at)
            return grant
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]


class _Flight:
    """An introspection under way, which any number of requests wait for."""

    task: "asyncio.Task[Grant | None]"
    superseded = False


def _retrieve(task: "asyncio.Task[Grant | None]") -> None:
    """So that an error which nobody waits for any more, the requests having timed out, is not reported as lost."""
    if not task.cancelled():
        task.exception()
