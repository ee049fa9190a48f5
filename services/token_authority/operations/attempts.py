"""Keeps guessing slow: counts credentials that are wrong, and tokens that strangers ask about, by minute.

An address that has been wrong too often has to wait, whatever admin key or token it shows next: it is not looked at. A
service is not locked out, neither by whoever shares its address nor by whoever guesses at its name: what is wrong there
is 429 beyond the limits, and what is good always passes.

Who has not been wrong here lately is let in without asking how often it was elsewhere, which costs nothing. The first
wrong credential is counted with those of the other processes, and tells.

An IPv6 address counts with the rest of its /64, which is what one caller has. Processes count together over Redis, and
each by itself while Redis is away.
"""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_network
from math import floor
from typing import Final, Literal, NamedTuple

import structlog
from prometheus_client import CollectorRegistry, Counter

from services.token_authority.domain.errors import TooManyAttempts
from services.token_authority.domain.service import is_client_id
from shared.runtime.process.recent_keys import RecentKeys
from shared.runtime.redis.rate_limit import RateLimiter
from shared.runtime.redis.rate_window import WINDOW_S, Verdict

Address = IPv4Address | IPv6Address
Kind = Literal["admin_key", "client_secret", "client_assertion", "access_token"]
"""Of a credential."""

MAX_PLACES: Final = 10_000
"""Addresses that a process remembers to have been wrong, or to have warned of."""

_log = structlog.get_logger()


class Limits(NamedTuple):
    """How often a minute: wrong credentials from one address, and for one client id from anywhere; and tokens that one
    address asks about where no other credential is needed.
    """

    wrong_by_address: int
    wrong_by_client: int
    open_tokens: int


class AttemptMetrics:
    """One a process, in the registry that it shows under `/metrics`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.refused = Counter(
            "pollgate_refused_credentials",
            "Credentials that were refused: wrong, or not looked at because too many had been",
            ["kind", "why"],
            registry=registry,
        )


class Attempts:
    """One a process. `clock` is for what it remembers by itself."""

    def __init__(
        self, limiter: RateLimiter, limits: Limits, metrics: AttemptMetrics, *, clock: Callable[[], float]
    ) -> None:
        self._limiter = limiter
        self._limits = limits
        self._metrics = metrics
        self._wrong_here = RecentKeys(MAX_PLACES, 2 * WINDOW_S, clock)
        self._warned = RecentKeys(MAX_PLACES, WINDOW_S, clock)

    async def admit(self, kind: Kind, address: Address | None) -> None:
        """Before a credential is looked up. Raises `TooManyAttempts` where too many from there were wrong."""
        place = _place(address)
        if place not in self._wrong_here:
            return
        standing = await self._limiter.standing(f"wrong:{place}", self._limits.wrong_by_address)
        if not standing.allowed:
            raise self._too_many(kind, place, None, _WRONG_FROM_ADDRESS, standing)

    async def wrong(
        self, kind: Kind, address: Address | None, told: Exception, client_id: str | None = None
    ) -> Exception:
        """Count a wrong credential; gives what to raise: `told`, or `TooManyAttempts` beyond a limit."""
        place, named = _place(address), client_id if client_id and is_client_id(client_id) else None
        self._wrong_here.add(place)
        here = await self._limiter.hit(f"wrong:{place}", self._limits.wrong_by_address)
        if not here.allowed:
            return self._too_many(kind, place, named, _WRONG_FROM_ADDRESS, here)
        if named is not None:
            anywhere = await self._limiter.hit(f"client:{named}", self._limits.wrong_by_client)
            if not anywhere.allowed:
                return self._too_many(kind, place, named, _WRONG_FOR_CLIENT, anywhere)
        self._metrics.refused.labels(kind, "wrong").inc()
        return told

    async def admit_stranger(self, address: Address | None) -> None:
        """Before tokens are looked up for anyone. Raises `TooManyAttempts` where one address has asked too much."""
        place = _place(address)
        standing = await self._limiter.standing(f"open:{place}", self._limits.open_tokens)
        if not standing.allowed:
            raise self._too_many("access_token", place, None, _OPEN_TOKENS, standing)

    async def count_tokens(self, address: Address | None, tokens: int) -> None:
        """So many were looked up for a stranger, beside those that this has ended."""
        if tokens > 0:
            await self._limiter.count(f"open:{_place(address)}", tokens)

    def _too_many(self, kind: Kind, place: str, client_id: str | None, rule: str, verdict: Verdict) -> TooManyAttempts:
        self._metrics.refused.labels(kind, "too_many").inc()
        if place not in self._warned:
            self._warned.add(place)
            _log.warning("someone is guessing at credentials", address=place, client_id=client_id, kind=kind)
        return TooManyAttempts(rule.format(verdict.limit), floor(verdict.reset_s) + 1)


_WRONG_FROM_ADDRESS: Final = "Up to {} wrong credentials a minute from one address are looked at"
_WRONG_FOR_CLIENT: Final = "Up to {} wrong credentials a minute for one client id are looked at"
_OPEN_TOKENS: Final = "Without another credential, {} tokens a minute from one address are looked at"


def _place(address: Address | None) -> str:
    if address is None:
        return "unknown"
    return str(ip_network((address, 64), strict=False) if isinstance(address, IPv6Address) else address)
