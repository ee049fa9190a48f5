"""Keeps a guard's place in the change log: by pushes as they come, and by syncs, which lose nothing.

A push is applied only where it is the next change; after a gap, and after every change, a sync tells the authority how
far this guard is. The sync also renews the lease, which counts from when the sync was sent.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog
from msgspec import Struct

from shared.contract.change import Change
from shared.contract.sync import SyncAnswer, SyncRequest
from shared.guard.errors import GuardUnavailable
from shared.guard.guard import Guard
from shared.guard.lease import Lease
from shared.guard.metrics import GuardMetrics
from shared.guard.usage import Usage

SHORTEST_SYNC_LIMIT_S: Final = 0.25
LAST_CALL_LIMIT_S: Final = 0.5

_log = structlog.get_logger()


class SyncTransport(Protocol):
    """The authority, as far as a follower needs it. Both raise `GuardUnavailable`."""

    async def sync(self, guard_id: str, request: SyncRequest) -> SyncAnswer: ...
    async def release(self, guard_id: str) -> None: ...


class SyncPace(Struct, frozen=True):
    """How often a guard syncs with the authority."""

    first_interval_s: float = 0.5
    """Between syncs, before the authority has said how long a lease is."""
    per_lease: float = 5
    """Syncs in the length of a lease."""
    retry_s: float = 1.0
    """After a sync that failed, at the latest."""
    jitter: Callable[[], float] = random.random
    """Gives numbers from 0 to 1, by which guards come to sync at different times."""


class Follower:
    """One a guard. `guard_id` is random."""

    def __init__(
        self,
        guard: Guard,
        lease: Lease,
        usage: Usage,
        authority: SyncTransport,
        metrics: GuardMetrics,
        *,
        guard_id: str,
        clock: Callable[[], float],
        pace: SyncPace,
    ) -> None:
        self._guard = guard
        self._lease = lease
        self._usage = usage
        self._authority = authority
        self._metrics = metrics
        self._guard_id = guard_id
        self._clock = clock
        self._pace = pace
        self._applied: int | None = None
        self._newest_seen = 0
        self._wanted = asyncio.Event()
        self._interval_s = pace.first_interval_s
        self._degraded_since: float | None = clock()
        self._degraded_is_logged = False
        self.lease_s: float | None = None
        self.issuer: str | None = None

    def apply_push(self, changes: Sequence[Change]) -> None:
        """Take changes in, in the order of `seq`: known ones are passed over, and after a gap none is applied."""
        before = self._applied
        for change in changes:
            self._newest_seen = max(self._newest_seen, change.seq)
            self._apply(change)
        self._record_lag()
        if self._applied != before or self._newest_seen > (self._applied or 0):
            self.request_sync()

    def request_sync(self) -> None:
        """Sync at once: something has been applied, or may have been missed."""
        self._wanted.set()

    async def ping(self) -> None:
        """Raises where the cache may not be used."""
        if not self._lease.is_held:
            raise ConnectionError("this guard has no lease")

    async def run(self) -> None:
        """Sync until cancelled."""
        _log.info("Guard started", guard_id=self._guard_id)
        while True:
            self._wanted.clear()
            if not await self._sync():
                await asyncio.sleep(min(self._pause_s(), self._pace.retry_s))
                continue
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """Use the cache no more; tell the last uses, and give the lease back, so that no revocation waits for it.

        Call this when `run` has been cancelled.
        """
        self._lease.release()
        try:
            async with asyncio.timeout(LAST_CALL_LIMIT_S):
                await self._report_last_uses()
        except (GuardUnavailable, TimeoutError):
            _log.warning("The last uses of tokens could not be reported to the token authority")
        try:
            async with asyncio.timeout(LAST_CALL_LIMIT_S):
                await self._authority.release(self._guard_id)
        except (GuardUnavailable, TimeoutError):
            _log.info("The lease could not be released; it expires by itself")

    async def _report_last_uses(self) -> None:
        """What these syncs are answered does not matter: the lease that they put on record is not used."""
        while used := self._usage.take():
            await self._authority.sync(self._guard_id, SyncRequest(self._applied, self._usage.to_report(used)))

    def _pause_s(self) -> float:
        """Never longer than the interval, and not the same for all guards."""
        return self._interval_s * (1.0 - 0.2 * self._pace.jitter())

    async def _sync(self) -> bool:
        self._record_lease()
        used = self._usage.take()
        request = SyncRequest(applied=self._applied, usage=self._usage.to_report(used))
        asked_at = self._clock()
        try:
            async with asyncio.timeout(max(SHORTEST_SYNC_LIMIT_S, self._interval_s)):
                answer = await self._authority.sync(self._guard_id, request)
        except (GuardUnavailable, TimeoutError) as error:
            self._usage.put_back(used)
            self._metrics.sync_failures.inc()
            self._record_lease(str(error) or "no answer within the time limit")
            return False
        self._process_answer(answer, asked_at)
        self._metrics.sync_s.observe(self._clock() - asked_at)
        if self._applied != request.applied:
            self.request_sync()
        return True

    def _process_answer(self, answer: SyncAnswer, asked_at: float) -> None:
        if answer.requires_reset:
            self._guard.reset(answer.head)
            self._applied = self._newest_seen = answer.head
        for change in answer.changes:
            self._apply(change)
        self._newest_seen = max(self._newest_seen, answer.head)
        self._record_lag()
        if self._applied is None or self._applied < answer.head:
            return
        self.issuer = answer.issuer
        self.lease_s = answer.lease_ms / 1000
        self._interval_s = self.lease_s / self._pace.per_lease
        self._lease.renew(asked_at, self.lease_s)
        self._record_lease()

    def _apply(self, change: Change) -> None:
        if self._applied is not None and change.seq == self._applied + 1:
            self._guard.apply(change)
            self._applied = change.seq

    def _record_lag(self) -> None:
        self._metrics.lag.set(self._newest_seen - (self._applied or 0))

    def _record_lease(self, failure: str | None = None) -> None:
        """Count the time without a lease; log when it is lost and when it is back, once each."""
        now = self._clock()
        if self._lease.is_held:
            self._metrics.lease_held.set(1)
            if self._degraded_is_logged:
                _log.info("Lease renewed: tokens are checked from the cache again", guard_id=self._guard_id)
            self._degraded_since, self._degraded_is_logged = None, False
            return
        self._metrics.lease_held.set(0)
        since = self._lease.until if self._degraded_since is None else self._degraded_since
        self._metrics.degraded_s.inc(max(0.0, now - since))
        self._degraded_since = now
        if failure is not None and not self._degraded_is_logged:
            self._degraded_is_logged = True
            _log.error(
                "No lease: every request is checked at the token authority", guard_id=self._guard_id, error=failure
            )
