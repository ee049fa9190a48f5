"""Decides whether a token works, from a cache that never outlives what the authority has said.

Every check is made on every request, cached or not: format, lease, expiry, and, by `Caller.require`, scope. The cache
is keyed by the token's SHA-256; the token itself is kept nowhere. Why this is exact is argued in `docs/revocation.md`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Final, NamedTuple

from shared.contract.change import Change
from shared.contract.introspection import Grant
from shared.contract.token import ACCESS_TOKEN, digest, is_well_formed
from shared.guard.cache import ExpiringCache
from shared.guard.errors import GuardUnavailable, TokenInvalid
from shared.guard.lease import Lease
from shared.guard.listeners import Listener, Listeners
from shared.guard.metrics import GuardMetrics
from shared.guard.tombstones import Tombstones

GRANT_LIFE_S: Final = 300.0
"""How long a grant is kept without asking again. Exactness does not rest on it: changes evict, and the lease guards."""
REFUSAL_LIFE_S: Final = 2.0
MAX_GRANTS: Final = 100_000
MAX_REFUSALS: Final = 10_000
MAX_CONCURRENT_INTROSPECTIONS: Final = 256
"""Introspections under way at once; a flood of made-up tokens may use up these, and no more of the authority."""
MAX_ATTEMPTS: Final = 4
"""Answers that a request waits for where each is too old to be believed."""

Introspect = Callable[[str], Awaitable[Grant | None]]
"""Asks the authority about a token: its grant, or `None`. Raises `GuardUnavailable`."""


class ValidToken(NamedTuple):
    """A token that works, and for how long nothing newer has been heard of it."""

    grant: Grant
    age_s: float


class Guard:
    """One a process. `clock` counts lengths of time; `now` is wall time and is compared with `exp`."""

    def __init__(
        self,
        introspect: Introspect,
        lease: Lease,
        metrics: GuardMetrics,
        *,
        clock: Callable[[], float],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._introspect = introspect
        self._lease = lease
        self._metrics = metrics
        self._clock = clock
        self._now = now
        self._grants = ExpiringCache[_Answer](size=MAX_GRANTS, life_s=GRANT_LIFE_S, clock=clock)
        self._refusals = ExpiringCache[_Answer](size=MAX_REFUSALS, life_s=REFUSAL_LIFE_S, clock=clock)
        self._tombstones = Tombstones()
        self._listeners = Listeners(lease)
        self._introspections: dict[bytes, _Introspection] = {}
        self._sequence = 0

    async def check(self, token: str, *, no_cache: bool = False) -> ValidToken:
        """What the token grants; with `no_cache` as the authority says after this call.

        Raises `TokenInvalid`, or `GuardUnavailable` where that cannot be known now.
        """
        if not is_well_formed(token, ACCESS_TOKEN):
            raise TokenInvalid
        key = digest(token)
        answer = self._look_up(key, no_cache=no_cache) or await self._await_introspection(key, token, no_cache=no_cache)
        if answer.grant is None or self.expires_in_s(answer.grant) <= 0:
            raise TokenInvalid
        known_at = max(answer.asked_at, self._lease.confirmed_at)
        return ValidToken(answer.grant, max(0.0, self._clock() - known_at))

    def apply(self, change: Change) -> None:
        """The token has changed: what is known of it counts no more, nor does an answer from before the change."""
        key = bytes.fromhex(change.digest)
        self._tombstones.add(key, change.seq)
        self._grants.drop(key)
        self._refusals.drop(key)
        self._listeners.notify(key)

    def reset(self, head: int) -> None:
        """Any token may have changed, up to and with `head`."""
        self._tombstones.reset(head)
        self._grants.clear()
        self._refusals.clear()
        self._listeners.notify_all()

    @contextmanager
    def listening(self, token: str, on_change: Listener) -> Generator[None, None, None]:
        """Within the block, run `on_change` whenever the token may have stopped working for a reason other than expiry.

        It runs in the event loop step in which a change is applied, so before a sync confirms the change.
        """
        key = digest(token)
        self._listeners.add(key, on_change)
        try:
            yield
        finally:
            self._listeners.remove(key, on_change)

    def expires_in_s(self, grant: Grant) -> float:
        """Return the seconds until the grant expires."""
        return grant.expires_at_s - self._now()

    def _look_up(self, key: bytes, *, no_cache: bool) -> "_Answer | None":
        if no_cache:
            self._metrics.bypassed.inc()
            return None
        if not self._lease.is_held:
            self._metrics.stale.inc()
            return None
        found = self._grants.get(key) or self._refusals.get(key)
        (self._metrics.hit if found else self._metrics.miss).inc()
        return found

    async def _await_introspection(self, key: bytes, token: str, *, no_cache: bool) -> "_Answer":
        """One introspection answers all who ask at once, but nobody by what may be older than his request allows."""
        sequence_before = self._sequence
        for _ in range(MAX_ATTEMPTS):
            introspection = self._introspections.get(key) or self._start(key, token)
            answer = await asyncio.shield(introspection.task)
            asked_after_request = introspection.number > sequence_before
            if self._is_usable(key, answer, asked_after_request=asked_after_request, no_cache=no_cache):
                return answer
            self._metrics.stale_answers.inc()
        raise GuardUnavailable("the authority's answers are older than its changes")

    def _is_usable(self, key: bytes, answer: "_Answer", *, asked_after_request: bool, no_cache: bool) -> bool:
        """An answer asked for before the request came is worth what a cached one is: nothing without the lease."""
        return self._is_current(key, answer) and (asked_after_request or (self._lease.is_held and not no_cache))

    def _is_current(self, key: bytes, answer: "_Answer") -> bool:
        return answer.grant is None or self._tombstones.allows(key, answer.grant.as_of)

    def _start(self, key: bytes, token: str) -> "_Introspection":
        if len(self._introspections) >= MAX_CONCURRENT_INTROSPECTIONS:
            raise GuardUnavailable("too many tokens are being introspected at once")
        self._sequence += 1
        introspection = _Introspection(self._sequence)
        introspection.task = asyncio.create_task(self._run(key, token))
        introspection.task.add_done_callback(_mark_retrieved)
        self._introspections[key] = introspection
        return introspection

    async def _run(self, key: bytes, token: str) -> "_Answer":
        asked_at, changed_at = self._clock(), self._tombstones.changed_at(key)
        try:
            answer = _Answer(await self._introspect(token), asked_at)
            is_overtaken = answer.grant is None and self._tombstones.changed_at(key) != changed_at
            if self._is_current(key, answer) and not is_overtaken:
                (self._refusals if answer.grant is None else self._grants).put(key, answer, asked_at)
            return answer
        finally:
            del self._introspections[key]


class _Answer(NamedTuple):
    """`grant` is `None` for a token that does not work."""

    grant: Grant | None
    asked_at: float


class _Introspection:
    """An introspection under way, which any number of requests wait for."""

    task: "asyncio.Task[_Answer]"

    def __init__(self, number: int) -> None:
        self.number = number


def _mark_retrieved(task: "asyncio.Task[_Answer]") -> None:
    """So that an error which nobody waits for any more, the requests having timed out, is not reported as lost."""
    if not task.cancelled():
        task.exception()
