"""Decide whether a token works, from a cache if the guard holds a lease, else by introspection.

Every request is checked in full, whether its token is cached or not: format, lease, expiry, and scope by
`Caller.require`. The cache is keyed by the SHA-256 of the token; the token itself is not stored. `docs/revocation.md`
shows why no revoked token is accepted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Final, NamedTuple

from msgspec import Struct

from shared.contract.change import Change
from shared.contract.introspection import Grant
from shared.contract.token import ACCESS_TOKEN, digest, is_well_formed
from shared.guard.cache import ExpiringCache
from shared.guard.errors import GuardUnavailable, TokenInvalid, TooManyUnknownTokens
from shared.guard.introspection_limits import MAX_CONCURRENT_INTROSPECTIONS, IntrospectionLimits
from shared.guard.lease import Lease
from shared.guard.listeners import Listener, Listeners
from shared.guard.metrics import GuardMetrics
from shared.guard.tombstones import Tombstones

GRANT_LIFE_S: Final = 300.0
"""How long a grant is cached. Exactness does not depend on it: changes evict grants, and the lease limits their use."""
REFUSAL_LIFE_S: Final = 2.0
MAX_GRANTS: Final = 1_000_000
MAX_REFUSALS: Final = 10_000
REVALIDATION_INTERVAL_S: Final = 1.0
"""A token is introspected for `no_cache` at most once in this time."""
CONFIRMATION_LIMIT_S: Final = 1.0
"""How long the first introspection of a changed token waits for a sync after it."""
MAX_ATTEMPTS: Final = 4
"""How many answers a request waits for if each is older than a change of its token."""

Introspect = Callable[[str], Awaitable[Grant | None]]
"""Return the grant of a token, or `None` if it does not work. Raise `GuardUnavailable`."""


class ValidToken(Struct, frozen=True):
    """The grant of a working token, and the age in seconds of the latest confirmation of it."""

    grant: Grant
    age_s: float


class Guard:
    """Checks tokens, from its cache if it may. Create one instance per process.

    `clock` measures durations; `now` is wall time and is compared with `exp`.
    """

    def __init__(
        self,
        introspect: Introspect,
        lease: Lease,
        metrics: GuardMetrics,
        *,
        clock: Callable[[], float],
        now: Callable[[], float] = time.time,
        limits: IntrospectionLimits | None = None,
    ) -> None:
        self._introspect = introspect
        self._lease = lease
        self._metrics = metrics
        self._clock = clock
        self._now = now
        self._grants = ExpiringCache[_Answer](size=MAX_GRANTS, life_s=GRANT_LIFE_S, clock=clock)
        self._refusals = ExpiringCache[_Answer](size=MAX_REFUSALS, life_s=REFUSAL_LIFE_S, clock=clock)
        self._limits = limits or IntrospectionLimits(None, clock=clock)
        self._revalidations = ExpiringCache[bool](size=MAX_REFUSALS, life_s=REVALIDATION_INTERVAL_S, clock=clock)
        self._tombstones = Tombstones()
        self._listeners = Listeners(lease)
        self._introspections: dict[bytes, _Introspection] = {}
        self._sequence = 0
        self._applied = 0
        self.wants_sync = asyncio.Event()
        """Set when something may have been missed. The follower then syncs, and clears it."""

    def recall(self, token: str) -> ValidToken | None:
        """Return what a cached token grants, in one look-up; `None` if `check` has to find out.

        A token that is in the cache is well-formed, because only those are introspected.
        """
        now, lease = self._clock(), self._lease
        may_recall = lease.is_held_at(now) and token.isascii()  # a header may contain anything
        answer = self._grants.get_at(digest(token), now) if may_recall else None
        if answer is None or answer.grant is None or answer.grant.expires_at_s <= self._now():
            return None
        self._metrics.hit.inc()
        return ValidToken(answer.grant, max(0.0, now - max(answer.asked_at, lease.confirmed_at)))

    async def check(self, token: str, *, no_cache: bool = False, network: str | None = None) -> ValidToken:
        """Return what the token grants.

        With `no_cache`, introspect it although it is cached, at most once per `REVALIDATION_INTERVAL_S`. While the
        authority cannot be reached, use the cache as without it. `network` is charged with the introspection of a token
        that is not cached.

        Raise `TokenInvalid`, `TooManyUnknownTokens`, or `GuardUnavailable` if the token cannot be checked now.
        """
        recalled = None if no_cache else self.recall(token)
        if recalled is not None:
            return recalled
        if not is_well_formed(token, ACCESS_TOKEN):
            raise TokenInvalid
        key = digest(token)
        answer = await self._find_answer(key, token, network, no_cache=no_cache)
        if answer.grant is None or self.expires_in_s(answer.grant) <= 0:
            raise answer.refusal or TokenInvalid()
        known_at = max(answer.asked_at, self._lease.confirmed_at)
        return ValidToken(answer.grant, max(0.0, self._clock() - known_at))

    def apply(self, change: Change) -> None:
        """Drop what is cached of the changed token, and reject introspection answers from before the change."""
        key = bytes.fromhex(change.digest)
        self._applied = change.seq
        self._tombstones.add(key, change.seq)
        self._grants.drop(key)
        self._refusals.drop(key)
        self._listeners.notify(key)

    def reset(self, head: int) -> None:
        """Drop everything: any token may have changed, up to and including the change `head`."""
        self._applied = head
        self._tombstones.reset(head)
        self._grants.clear()
        self._refusals.clear()
        self._listeners.notify_all()

    @contextmanager
    def listen(self, token: str, on_change: Listener) -> Generator[None, None, None]:
        """Run `on_change` during the block whenever the token may have stopped working for a reason other than expiry.

        It runs in the event loop step in which a change is applied, so before a sync confirms the change.
        """
        key = digest(token)
        self._listeners.add(key, on_change)
        try:
            yield
        finally:
            self._listeners.remove(key, on_change)

    @property
    def cached_grants(self) -> int:
        """The grants in the cache, some of which may have expired."""
        return len(self._grants)

    @property
    def cached_refusals(self) -> int:
        """The tokens in the cache that do not work."""
        return len(self._refusals)

    def expires_in_s(self, grant: Grant) -> float:
        """Return the seconds until the grant expires."""
        return grant.expires_at_s - self._now()

    async def _find_answer(self, key: bytes, token: str, network: str | None, *, no_cache: bool) -> "_Answer":
        if no_cache and self._must_revalidate(key):
            self._metrics.bypassed.inc()
            try:
                return await self._await_introspection(key, token, network)
            except GuardUnavailable:
                self._postpone_revalidation(key)  # a failure may have taken longer than the interval
                cached = self._find_cached(key)
                if cached is None:
                    raise
                return cached
        return self._look_up(key) or await self._await_introspection(key, token, network)

    def _must_revalidate(self, key: bytes) -> bool:
        """Return whether a request with `no_cache` waits for an introspection: one in progress, or else a new one."""
        if key in self._introspections:
            return True
        if self._revalidations.get(key):
            return False
        self._postpone_revalidation(key)
        return True

    def _postpone_revalidation(self, key: bytes) -> None:
        self._revalidations.put(key, value=True, asked_at=self._clock())

    def _look_up(self, key: bytes) -> "_Answer | None":
        if not self._lease.is_held:
            self._metrics.stale.inc()
            return None
        found = self._find_cached(key)
        (self._metrics.hit if found else self._metrics.miss).inc()
        return found

    def _find_cached(self, key: bytes) -> "_Answer | None":
        """Return what is cached of the token, if the guard may use its cache."""
        return (self._grants.get(key) or self._refusals.get(key)) if self._lease.is_held else None

    async def _await_introspection(self, key: bytes, token: str, network: str | None) -> "_Answer":
        """Share one introspection among concurrent requests, unless its answer may be too old for this request."""
        sequence_before = self._sequence
        for _ in range(MAX_ATTEMPTS):
            introspection = self._introspections.get(key) or self._start(key, token, network)
            answer = await asyncio.shield(introspection.task)
            if self._is_usable(key, answer, sent_after_request=introspection.number > sequence_before):
                return answer
            self._metrics.stale_answers.inc()
        raise GuardUnavailable("the authority's answers are older than its changes")

    def _is_usable(self, key: bytes, answer: "_Answer", *, sent_after_request: bool) -> bool:
        """Treat an answer to an introspection that was sent before the request as a cached one: it needs the lease."""
        return self._is_current(key, answer) and (sent_after_request or self._lease.is_held)

    def _is_current(self, key: bytes, answer: "_Answer") -> bool:
        return answer.grant is None or self._tombstones.allows(key, answer.grant.as_of)

    def _start(self, key: bytes, token: str, network: str | None) -> "_Introspection":
        if len(self._introspections) >= MAX_CONCURRENT_INTROSPECTIONS:
            raise GuardUnavailable("too many tokens are being introspected at once")
        self._sequence += 1
        introspection = _Introspection(self._sequence)
        if self._grants.get(key) is not None or self._tombstones.latest_change(key):
            network = None  # a token that is known here is no guess
        introspection.task = asyncio.create_task(self._run(key, token, network))
        introspection.task.add_done_callback(_mark_retrieved)
        self._introspections[key] = introspection
        return introspection

    async def _run(self, key: bytes, token: str, network: str | None) -> "_Answer":
        try:
            async with self._limits.share(network):
                answer = await self._introspect_now(key, token)
            if answer.grant is None:
                return answer._replace(refusal=await self._limits.record_unknown(key.hex(), network))
            return answer
        finally:
            del self._introspections[key]

    async def _introspect_now(self, key: bytes, token: str) -> "_Answer":
        asked_at, latest_change, applied = self._clock(), self._tombstones.latest_change(key), self._applied
        answer = _Answer(await self._measure_introspection(token), asked_at)
        if answer.grant is not None and answer.grant.as_of < applied:
            # The authority lacks a change that this guard had applied when it asked: its database was restored.
            self.wants_sync.set()
            raise GuardUnavailable("the authority's change log went back")
        if answer.grant is not None and self._tombstones.latest_change(key):
            await self._require_confirmed_log()
        is_overtaken = answer.grant is None and self._tombstones.latest_change(key) != latest_change
        if self._is_current(key, answer) and not is_overtaken:
            self._remember(key, answer)
        return answer

    async def _require_confirmed_log(self) -> None:
        """Wait for a sync that is sent from now on: it proves that the log has every change that this guard knows.

        The number in an answer proves that only for a log that was not restored. A restored one counts on from an
        earlier number, so that other changes get the numbers of those that it lacks.
        """
        answered_at = self._clock()
        self.wants_sync.set()
        if not await self._lease.is_confirmed_since(answered_at, CONFIRMATION_LIMIT_S):
            raise GuardUnavailable("no sync has confirmed the changes of this token")

    async def _measure_introspection(self, token: str) -> Grant | None:
        started, result = self._clock(), "failed"
        try:
            grant = await self._introspect(token)
            result = "inactive" if grant is None else "active"
        finally:
            self._metrics.introspection_s.labels(result).observe(self._clock() - started)
        return grant

    def _remember(self, key: bytes, answer: "_Answer") -> None:
        (self._refusals if answer.grant is None else self._grants).put(key, answer, answer.asked_at)


class _Answer(NamedTuple):
    """The result of an introspection. `grant` is `None` if the token does not work.

    `refusal` is set if too many tokens from its address did not work.
    """

    grant: Grant | None
    asked_at: float
    refusal: TooManyUnknownTokens | None = None


class _Introspection:
    """An introspection in progress. Any number of requests may wait for its task; `number` orders them by start."""

    task: "asyncio.Task[_Answer]"

    def __init__(self, number: int) -> None:
        self.number = number


def _mark_retrieved(task: "asyncio.Task[_Answer]") -> None:
    """Prevent asyncio's report of an unretrieved exception if all requests that waited have timed out."""
    if not task.cancelled():
        task.exception()
