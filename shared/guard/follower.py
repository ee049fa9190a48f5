"""Follow the change log: apply pushes as they arrive, and sync, which loses nothing.

A push is applied only if it is the next change. After a gap, and after every applied change, a sync reports to the
authority which changes this guard has applied. The sync also renews the lease, which counts from when it was sent.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog
from msgspec import Struct

from shared.contract.change import Change, epoch_of
from shared.contract.restoration import MAX_CHANGES_REPORTED, ChangesReport
from shared.contract.sync import MAX_UNCONFIRMED, SyncAnswer, SyncRequest
from shared.guard.errors import AuthorityRestored, GuardUnavailable
from shared.guard.guard import Guard
from shared.guard.lease import Lease
from shared.guard.metrics import GuardMetrics
from shared.guard.usage import MAX_USES_PER_SYNC, Usage, Use
from shared.runtime.process.recent_values import RecentValues

SHORTEST_SYNC_LIMIT_S: Final = 0.25
LAST_CALL_LIMIT_S: Final = 1.0
REPORT_LIMIT_S: Final = 2.0
CHANGES_KEPT_S: Final = 6 * 3600.0
"""How long applied changes are kept, to report them if the authority's database is restored."""
MAX_CHANGES_KEPT: Final = 50_000
_SHORTEST_PAUSE: Final = 0.8
"""The shortest pause between two syncs without a change, as a share of the interval."""

_NO_SYNC: Final = "no sync with the token authority has granted a lease"

_log = structlog.get_logger()


class SyncTransport(Protocol):
    """The calls to the authority that a follower needs. They raise `GuardUnavailable`.

    `sync` and `release` raise `AuthorityRestored` while the authority's database is restored; `report` works then.
    """

    async def sync(self, guard_id: str, request: SyncRequest) -> SyncAnswer: ...
    async def report(self, guard_id: str, report: ChangesReport) -> None: ...
    async def release(self, guard_id: str) -> None: ...


class SyncPace(Struct, frozen=True):
    """How often a guard syncs with the authority."""

    first_interval_s: float = 0.5
    """The interval between syncs until the authority has granted a lease."""
    per_lease: float = 5
    """The number of syncs per lease."""
    retry_s: float = 1.0
    """The longest pause after a sync that failed."""
    jitter: Callable[[], float] = random.random
    """Return a number from 0 to 1. It spreads the syncs of different guards over time."""


class Follower:
    """Follows the change log. Create one instance per guard, with a random `guard_id`, and await `run`."""

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
        self._last: Change | None = None
        self._unconfirmed: list[Change] = []
        """The newest change that a sync has confirmed, and those that were pushed and applied since."""
        self._recent: RecentValues[Change] = RecentValues(MAX_CHANGES_KEPT, CHANGES_KEPT_S, clock)
        self._has_reported = False
        self._newest_seen = 0
        self._lags_since: float | None = None
        self._wanted = guard.wants_sync
        self._interval_s = pace.first_interval_s
        self._uses_due_at = float("-inf")
        self._degraded_since: float | None = clock()
        self._degraded_is_logged = False
        self._failure = _NO_SYNC
        self.lease_s: float | None = None
        self.issuer: str | None = None

    def apply_push(self, changes: Sequence[Change]) -> None:
        """Apply changes in the order of `seq`. Skip those already applied, and apply none after a gap."""
        before = self._applied
        for change in changes:
            self._newest_seen = max(self._newest_seen, change.seq)
            # One place is left for the newest change that the next sync confirms.
            if len(self._unconfirmed) < MAX_UNCONFIRMED - 1 and self._apply(change) and change.receipt:
                self._unconfirmed.append(change)
        self._record_lag()
        if self._applied != before or self._newest_seen > (self._applied or 0):
            self.request_sync()

    def request_sync(self) -> None:
        """Make `run` sync at once, because a change has been applied or may have been missed."""
        self._wanted.set()

    @property
    def lag_s(self) -> float:
        """For how many seconds this guard has known of changes that it has not applied; 0 if it has applied all."""
        return 0.0 if self._lags_since is None else self._clock() - self._lags_since

    async def ping(self) -> None:
        """Raise `GuardUnavailable` with the failure of the last sync if the guard has no lease."""
        if not self._lease.is_held:
            raise GuardUnavailable(self._failure)

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
        """Stop using the cache, report the last uses, and release the lease, so that no revocation waits for it.

        Call it after `run` has been cancelled.
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
        """Send what is left of the usage. Ignore the answers: this guard no longer uses a lease."""
        while used := self._usage.take():
            await self._authority.sync(self._guard_id, self._request(used))

    def _request(self, used: dict[str, Use]) -> SyncRequest:
        return SyncRequest(self._applied, self._usage.to_report(used), self._last, self._unconfirmed.copy())

    def _pause_s(self) -> float:
        """Return 80 to 100 % of the interval, different for each guard."""
        return self._interval_s * (1.0 - (1.0 - _SHORTEST_PAUSE) * self._pace.jitter())

    def _take_uses(self) -> dict[str, Use]:
        """Return the uses to report: none soon after a report, so that a change is confirmed in little time."""
        now = self._clock()
        if now < self._uses_due_at:
            return {}
        used = self._usage.take()
        if len(used) < MAX_USES_PER_SYNC:
            self._uses_due_at = now + self._interval_s * _SHORTEST_PAUSE
        return used

    async def _sync(self) -> bool:
        self._record_lease()
        used = self._take_uses()
        request = self._request(used)
        asked_at = self._clock()
        try:
            async with asyncio.timeout(max(SHORTEST_SYNC_LIMIT_S, self._interval_s)):
                answer = await self._authority.sync(self._guard_id, request)
        except (GuardUnavailable, TimeoutError) as error:
            self._usage.put_back(used)
            self._uses_due_at = asked_at
            self._metrics.sync_failures.inc()
            self._failure = str(error) or "no answer within the time limit"
            self._record_lease(self._failure)
            if isinstance(error, AuthorityRestored):
                await self._report_recent()
            else:
                self._has_reported = False  # the database may be restored once more, and then lacks the report too
            return False
        self._has_reported = False
        self._failure = _NO_SYNC
        self._process_answer(answer, request.unconfirmed, asked_at)
        self._metrics.sync_s.observe(self._clock() - asked_at)
        if self._applied != request.applied:
            self.request_sync()
        return True

    async def _report_recent(self) -> None:
        """Report the changes that this guard has applied, once until the authority answers otherwise."""
        if self._has_reported:
            return
        recent = self._recent.list()
        try:
            for start in range(0, len(recent), MAX_CHANGES_REPORTED):
                async with asyncio.timeout(REPORT_LIMIT_S):
                    part = recent[start : start + MAX_CHANGES_REPORTED]
                    await self._authority.report(self._guard_id, ChangesReport(part))
        except (GuardUnavailable, TimeoutError) as error:
            _log.warning(
                "The applied changes could not be reported to the restored token authority; trying again",
                guard_id=self._guard_id,
                error=str(error) or "no answer within the time limit",
            )
        else:
            self._has_reported = True
            _log.info("Reported the applied changes to the restored token authority", changes=len(recent))

    def _process_answer(self, answer: SyncAnswer, sent: Sequence[Change], asked_at: float) -> None:
        """Apply the answer to a sync that was sent at `asked_at` with these unconfirmed changes."""
        confirmed, pushed_since = list(sent[-1:]), self._unconfirmed[len(sent) :]
        if answer.requires_reset:
            self._guard.reset(answer.head)
            if epoch_of(answer.head) > epoch_of(self._applied or 0):
                self._recent.clear()  # a restoration is finished, which has taken them into account
            self._applied = self._newest_seen = answer.head
            self._last = answer.last if answer.last is not None and answer.last.receipt else None
            confirmed, pushed_since = [] if self._last is None else [self._last], []
        for change in answer.changes:
            if self._apply(change) and change.receipt:
                confirmed = [change]
        self._unconfirmed = confirmed + pushed_since
        self._newest_seen = max(self._newest_seen, answer.head)
        self._record_lag()
        if self._applied is None or self._applied < answer.head:
            return
        self.issuer = answer.issuer
        self.lease_s = answer.lease_ms / 1000
        self._interval_s = self.lease_s / self._pace.per_lease
        self._lease.renew(asked_at, self.lease_s)
        self._record_lease()

    def _apply(self, change: Change) -> bool:
        """Apply a change if it is the next one. Return whether it was."""
        if self._applied is None or change.seq != self._applied + 1:
            return False
        self._guard.apply(change)
        self._applied = change.seq
        if change.receipt:
            self._last = change
            self._recent.add(change)
        return True

    def _record_lag(self) -> None:
        lag = self._newest_seen - (self._applied or 0)
        self._metrics.lag.set(lag)
        if lag == 0:
            self._lags_since = None
        elif self._lags_since is None:
            self._lags_since = self._clock()

    def _record_lease(self, failure: str | None = None) -> None:
        """Measure the time without a lease. Log once when it is lost, and once when it is renewed."""
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
