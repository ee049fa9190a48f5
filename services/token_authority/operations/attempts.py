"""Slow down guessing: count wrong credentials, and tokens looked up for anonymous callers, per minute.

An address with too many wrong credentials is refused before its next admin key or token is looked up. A service is
never locked out by requests that share its address or guess its client id: beyond the limits a wrong credential of a
service gets 429, and a correct one is always accepted.

An address without a recent wrong credential at this process is accepted without asking Redis, which costs nothing. Its
first wrong credential is counted together with those at other processes.

IPv6 addresses are counted per /64, the usual size of one caller's network. Processes count together over Redis, and
each on its own while Redis is unavailable.
"""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_network
from math import floor
from typing import Final, Literal, NamedTuple, NoReturn

import structlog
from prometheus_client import CollectorRegistry, Counter

from services.token_authority.domain.errors import TooManyAttempts
from services.token_authority.domain.service import is_client_id
from shared.runtime.process.recent_keys import RecentKeys
from shared.runtime.redis.rate_limit import RateLimiter
from shared.runtime.redis.rate_window import WINDOW_S, Verdict

Address = IPv4Address | IPv6Address
CredentialKind = Literal["admin_key", "client_secret", "client_assertion", "access_token"]

MAX_ADDRESSES: Final = 10_000
"""Addresses for which a process remembers wrong credentials and warnings."""

_log = structlog.get_logger()


class Limits(NamedTuple):
    """Limits per minute: wrong credentials from one address, wrong credentials for one client id from any address, and
    tokens that an anonymous caller looks up from one address.
    """

    wrong_per_address: int
    wrong_per_client: int
    open_tokens: int


class AttemptMetrics:
    """The metrics of refused credentials. Create one instance per process, in the registry that `/metrics` shows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.refused = Counter(
            "pollgate_refused_credentials",
            "Refused credentials: wrong ones, and those refused unchecked because of too many wrong ones before",
            ["kind", "why"],
            registry=registry,
        )


class Attempts:
    """Counts wrong credentials and lookups, and refuses those beyond the limits.

    Create one instance per process. `clock` times what the process counts on its own.
    """

    def __init__(
        self, limiter: RateLimiter, limits: Limits, metrics: AttemptMetrics, *, clock: Callable[[], float]
    ) -> None:
        self._limiter = limiter
        self._limits = limits
        self._metrics = metrics
        self._wrong_here = RecentKeys(MAX_ADDRESSES, 2 * WINDOW_S, clock)
        self._warned = RecentKeys(MAX_ADDRESSES, WINDOW_S, clock)

    async def require_allowed(self, kind: CredentialKind, address: Address | None) -> None:
        """Raise `TooManyAttempts` if too many credentials from the address were wrong. Call this before a lookup."""
        network = _network_of(address)
        if network not in self._wrong_here:
            return
        verdict = await self._limiter.peek(f"wrong:{network}", self._limits.wrong_per_address)
        if not verdict.is_allowed:
            raise self._too_many(kind, network, None, _WRONG_PER_ADDRESS, verdict)

    async def record_failure(
        self, kind: CredentialKind, address: Address | None, refusal: Exception, client_id: str | None = None
    ) -> NoReturn:
        """Count a wrong credential. Raise `refusal`, or `TooManyAttempts` beyond a limit."""
        network, named = _network_of(address), client_id if client_id and is_client_id(client_id) else None
        self._wrong_here.add(network)
        per_address = await self._limiter.hit(f"wrong:{network}", self._limits.wrong_per_address)
        if not per_address.is_allowed:
            raise self._too_many(kind, network, named, _WRONG_PER_ADDRESS, per_address)
        if named is not None:
            per_client = await self._limiter.hit(f"client:{named}", self._limits.wrong_per_client)
            if not per_client.is_allowed:
                raise self._too_many(kind, network, named, _WRONG_PER_CLIENT, per_client)
        self._metrics.refused.labels(kind, "wrong").inc()
        raise refusal

    async def require_lookup_allowed(self, address: Address | None) -> None:
        """Raise `TooManyAttempts` if anonymous callers at the address have looked up too many tokens."""
        network = _network_of(address)
        verdict = await self._limiter.peek(f"open:{network}", self._limits.open_tokens)
        if not verdict.is_allowed:
            raise self._too_many("access_token", network, None, _OPEN_TOKENS, verdict)

    async def count_tokens(self, address: Address | None, tokens: int) -> None:
        """Count the tokens that were looked up for an anonymous caller and not revoked by it."""
        if tokens > 0:
            await self._limiter.count(f"open:{_network_of(address)}", tokens)

    def _too_many(
        self, kind: CredentialKind, network: str, client_id: str | None, rule: str, verdict: Verdict
    ) -> TooManyAttempts:
        self._metrics.refused.labels(kind, "too_many").inc()
        if network not in self._warned:
            self._warned.add(network)
            _log.warning("too many wrong credentials", address=network, client_id=client_id, kind=kind)
        return TooManyAttempts(rule.format(verdict.limit), floor(verdict.reset_s) + 1)


_WRONG_PER_ADDRESS: Final = "At most {} wrong credentials per minute are allowed from one address"
_WRONG_PER_CLIENT: Final = "At most {} wrong credentials per minute are allowed for one client id"
_OPEN_TOKENS: Final = "At most {} tokens per minute are looked up for one address without another credential"


def _network_of(address: Address | None) -> str:
    if address is None:
        return "unknown"
    return str(ip_network((address, 64), strict=False) if isinstance(address, IPv6Address) else address)
