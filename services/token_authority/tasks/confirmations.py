"""Wait until a change is effective: until every guard that held a lease has confirmed it or is out of its lease.

A guard confirms with its next sync, at any process of the authority, so while a request waits, the stored leases are
read every few milliseconds. Leases are timed with this process's own `clock`; wall clocks are never compared.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog

from services.token_authority.domain.change_log import AppliedChange
from services.token_authority.domain.errors import Restored
from services.token_authority.domain.lease import Effect, GuardKey, LeaseWatch, PendingChange
from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.storage import guards
from services.token_authority.tasks.restoration import RestorationWatch
from shared.runtime.postgres.database import Database, DatabaseUnavailable

IDLE_INTERVAL_S: Final = 0.5
"""Between two reads of the leases while no request waits."""
MIN_INTERVAL_S: Final = 0.008
MAX_INTERVAL_S: Final = 0.05
"""Between two reads of the leases while a request waits: the interval starts at the minimum and doubles."""

_log = structlog.get_logger()


class Confirmations:
    """Tracks which guards have confirmed which changes. Create one instance per process and supervise its `run()`."""

    def __init__(
        self, database: Database, watch: RestorationWatch, metrics: AuthorityMetrics, *, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._watch = watch
        self._metrics = metrics
        self._clock = clock
        self._leases = LeaseWatch()
        self._pending: dict[PendingChange, asyncio.Event] = {}
        self._wake = asyncio.Event()
        self._interval_s = MIN_INTERVAL_S
        self._stopping = False

    async def wait_until_effective(self, change: PendingChange) -> Effect:
        """Return when the change is effective, or when this process stops. Raise `Restored`."""
        progress = self._pending[change] = asyncio.Event()
        self._interval_s = MIN_INTERVAL_S
        self._wake.set()
        try:
            while not (change.is_effective or self._stopping or change.is_lost):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(change.deadline - self._clock()):
                        await progress.wait()
                progress.clear()
                change.advance_to(self._clock())
        finally:
            del self._pending[change]
        if change.is_lost:
            raise Restored
        waited_s = self._clock() - change.committed_at
        if change.is_effective:
            self._metrics.revocation_wait_s.observe(waited_s)
        return Effect(change.is_effective, round(waited_s * 1000, 1), change.confirmed, change.expired)

    @property
    def are_awaited(self) -> bool:
        """Whether a change waits for confirmations."""
        return bool(self._pending)

    def max_wait_s(self, change: PendingChange) -> float:
        """Return how many seconds it takes until the change is effective if no guard confirms it."""
        return max(0.0, change.deadline - self._clock())

    def confirm(self, guard: GuardKey, applied: int) -> None:
        """Take in that `guard` has applied the log up to and including `applied`."""
        for change, progress in self._pending.items():
            change.confirm(guard, applied)
            if change.is_effective:
                progress.set()

    def confirm_early(self, guard: GuardKey, applied: AppliedChange) -> None:
        """Do the same as `confirm` before the log is read, if the guard has applied a change that is pending here.

        A number alone would not do: in a database that has gone back, another change may have it.
        """
        if any(change.change_id == applied.id and change.seq == applied.seq for change in self._pending):
            self.confirm(guard, applied.seq)

    def stop_waiting(self) -> None:
        """Make every wait return with the current effect."""
        self._stopping = True
        for progress in self._pending.values():
            progress.set()

    async def run(self) -> None:
        """Read the leases again and again until cancelled."""
        while True:
            await self._pause()
            try:
                await self._read_leases()
            except DatabaseUnavailable:
                pass  # the database has logged it
            except Restored:
                self._lose_pending()

    def _lose_pending(self) -> None:
        """End every wait: the database may lack the change, and the leases that it was waiting for."""
        for change, progress in self._pending.items():
            change.is_lost = True
            progress.set()

    async def _pause(self) -> None:
        if not self._pending:
            self._wake.clear()
            self._interval_s = MIN_INTERVAL_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_INTERVAL_S):
                    await self._wake.wait()
        if self._pending:
            await asyncio.sleep(self._interval_s)
            self._interval_s = min(self._interval_s * 2, MAX_INTERVAL_S)

    async def _read_leases(self) -> None:
        pending = list(self._pending.items())  # these changes were committed before the leases are read
        expected = self._watch.newest
        leases, head = await guards.select_leases(self._database)
        await self._watch.require_current(head, expected)
        seen_at = self._clock()
        self._metrics.guards.set(len(leases))
        applied = {lease.guard: lease.applied for lease in leases}
        for change, progress in pending:
            change.observe(applied)
            if change.is_effective:
                progress.set()
        for lease in self._leases.select_expired(leases, seen_at):
            if await guards.remove_expired(self._database, lease):
                _log.warning(
                    "guard lease expired: the guard has stopped or cannot reach the authority", **lease.guard._asdict()
                )
