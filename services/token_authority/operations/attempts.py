"""Slow down guessing and floods: count failures per minute, and limit lookups beyond the limits.

Three things are counted per address: wrong credentials, tokens looked up for anonymous callers, and bodies of anonymous
callers that cannot be read. Wrong credentials are counted per client id too.

No limit refuses a valid credential. Beyond a limit, credentials of the address are looked up one at a time, a few at
once for all such addresses, and only wrong ones get 429. A service's credential is always looked up at once, so that
its guards never wait for a flood. So is a credential that was valid at this process within the last hour.

An address without a recent failure at this process is accepted without asking Redis, which costs nothing. Its first
failure is counted together with those at other processes. Processes count together over Redis, and each on its own
while Redis is unavailable.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from math import floor
from typing import Final, Literal, NamedTuple, NoReturn

import structlog
from prometheus_client import CollectorRegistry, Counter

from services.token_authority.domain.errors import TooManyAttempts, Unauthenticated
from services.token_authority.domain.service import is_client_id
from shared.contract.token import SECRET_NAMES, find_prefix
from shared.runtime.http.address import Address, network_of
from shared.runtime.process.fair_semaphore import FairSemaphore, QueueFull
from shared.runtime.process.recent_keys import RecentKeys
from shared.runtime.redis.failure_limit import FailureLimit
from shared.runtime.redis.rate_limit import RateLimiter
from shared.runtime.redis.rate_window import WINDOW_S, Verdict

CredentialKind = Literal["admin_key", "client_secret", "client_assertion", "access_token", "none"]

CLIENT_ASSERTION: Final = "client_assertion"
_KINDS: Final[Mapping[str, str]] = {**SECRET_NAMES, CLIENT_ASSERTION: "a client assertion"}

MAX_ADDRESSES: Final = 10_000
"""Addresses for which a process remembers warnings."""
LOOKUPS_BEYOND_LIMITS: Final = 2
"""Concurrent lookups for all addresses beyond a limit together: a fraction of the connections to the database."""
MAX_VALID: Final = 10_000
VALID_LIFE_S: Final = 3600.0
"""How many credentials a process remembers because they were valid, and for how long."""
MAX_WAITING: Final = 100
"""Lookups of one address beyond a limit that wait for their turn."""

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
            "Refused credentials: wrong ones, those of another kind, which are not counted, and those beyond a limit",
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
        self._wrong = FailureLimit(limiter, "wrong", limits.wrong_per_address, clock=clock)
        self._unreadable = FailureLimit(limiter, "unreadable", limits.wrong_per_address, clock=clock)
        self._turns = FairSemaphore(total=LOOKUPS_BEYOND_LIMITS, per_key=1, queue=MAX_WAITING)
        self._warned = RecentKeys(MAX_ADDRESSES, WINDOW_S, clock)
        self._valid = RecentKeys(MAX_VALID, VALID_LIFE_S, clock)

    def require_kind(self, kind: CredentialKind, presented: str, expected: str, advice: str, *schemes: str) -> None:
        """Raise `Unauthenticated` with `advice` if `presented` is a well-formed credential that is not an `expected`.

        A credential of another kind is no guess, so it is not counted. It is not looked up either, so the response is
        the same whether or not it works.
        """
        found = _kind_of(presented)
        if found in (None, expected):
            return
        self._metrics.refused.labels(kind, "other_kind").inc()
        raise Unauthenticated(f"This is {_KINDS[found]}; {advice}.", *schemes)

    @asynccontextmanager
    async def lookup(self, kind: CredentialKind, address: Address | None, secret: bytes) -> AsyncGenerator[None, None]:
        """Let a credential be looked up in the block: at once or, beyond the limit of wrong ones, in its turn.

        Report afterwards by `remember` whether it was valid. `secret` is its SHA-256. Raise `TooManyAttempts` if too
        many of the address wait.
        """
        known = secret.hex() in self._valid
        excess = None if known else await self._wrong.find_excess(network_of(address))
        async with self._turn(kind, address, _WRONG_PER_ADDRESS, excess):
            yield

    def remember(self, secret: bytes, *, is_valid: bool) -> None:
        """Look this credential up at once for the next hour if it is valid, and otherwise no longer."""
        if is_valid:
            self._valid.add(secret.hex())
        else:
            self._valid.discard(secret.hex())

    @asynccontextmanager
    async def token_lookup(self, address: Address | None) -> AsyncGenerator[Verdict | None, None]:
        """Let an anonymous caller's tokens be looked up in the block: at once or, beyond the limit, in its turn.

        Yield the verdict if the address is beyond the limit. If all the tokens are unknown then, pass the verdict to
        `refuse_tokens`. Raise `TooManyAttempts` if too many of the address wait.
        """
        verdict = await self._limiter.peek(f"open:{network_of(address)}", self._limits.open_tokens)
        excess = None if verdict.is_allowed else verdict
        async with self._turn("access_token", address, _OPEN_TOKENS, excess):
            yield excess

    def refuse_tokens(self, address: Address | None, excess: Verdict) -> NoReturn:
        """Raise `TooManyAttempts` for tokens that were looked up beyond the limit, and are unknown."""
        raise self._too_many("access_token", network_of(address), None, _OPEN_TOKENS, excess)

    async def count_tokens(self, address: Address | None, tokens: int) -> None:
        """Count the tokens that were looked up for an anonymous caller and not revoked by it."""
        if tokens > 0:
            await self._limiter.count(f"open:{network_of(address)}", tokens)

    async def record_failure(
        self, kind: CredentialKind, address: Address | None, refusal: Exception, client_id: str | None = None
    ) -> NoReturn:
        """Count a wrong credential. Raise `refusal`, or `TooManyAttempts` beyond a limit."""
        network, named = network_of(address), client_id if client_id and is_client_id(client_id) else None
        excess = await self._wrong.record(network)
        if excess is not None:
            raise self._too_many(kind, network, named, _WRONG_PER_ADDRESS, excess)
        if named is not None:
            per_client = await self._limiter.hit(f"client:{named}", self._limits.wrong_per_client)
            if not per_client.is_allowed:
                raise self._too_many(kind, network, named, _WRONG_PER_CLIENT, per_client)
        self._metrics.refused.labels(kind, "wrong").inc()
        raise refusal

    async def require_readable_bodies(self, address: Address | None) -> None:
        """Raise `TooManyAttempts` if too many bodies from the address could not be read. Call this before reading."""
        network = network_of(address)
        excess = await self._unreadable.find_excess(network)
        if excess is not None:
            raise self._too_many("none", network, None, _UNREADABLE, excess)

    async def record_unreadable_body(self, address: Address | None, refusal: Exception) -> NoReturn:
        """Count a body of a caller without a credential. Raise `refusal`, or `TooManyAttempts` beyond the limit."""
        network = network_of(address)
        excess = await self._unreadable.record(network)
        if excess is not None:
            raise self._too_many("none", network, None, _UNREADABLE, excess)
        raise refusal

    @asynccontextmanager
    async def _turn(
        self, kind: CredentialKind, address: Address | None, rule: str, excess: Verdict | None
    ) -> AsyncGenerator[None, None]:
        if excess is None:
            yield
            return
        network = network_of(address)
        try:
            async with self._turns.acquire(network):
                yield
        except QueueFull:
            raise self._too_many(kind, network, None, rule, excess) from None

    def _too_many(
        self, kind: CredentialKind, network: str, client_id: str | None, rule: str, verdict: Verdict
    ) -> TooManyAttempts:
        self._metrics.refused.labels(kind, "too_many").inc()
        if network not in self._warned:
            self._warned.add(network)
            _log.warning("too many failed requests", address=network, client_id=client_id, kind=kind)
        return TooManyAttempts(rule.format(verdict.limit), floor(verdict.reset_s) + 1)


_WRONG_PER_ADDRESS: Final = "At most {} wrong credentials per minute are allowed from one address"
_WRONG_PER_CLIENT: Final = "At most {} wrong credentials per minute are allowed for one client id"
_UNREADABLE: Final = "At most {} unreadable bodies per minute are allowed from one address without a credential"
_OPEN_TOKENS: Final = "At most {} unknown tokens per minute are looked up for one address without another credential"


def _kind_of(text: str) -> str | None:
    """Return the prefix of a well-formed secret, or `CLIENT_ASSERTION` for what looks like a JWT (RFC 7519 §3)."""
    if text.startswith("eyJ") and text.count(".") == 2:
        return CLIENT_ASSERTION
    return find_prefix(text)
