"""Knows when a change is in force everywhere: every guard that held a lease has confirmed it, or is out of its lease.

A guard confirms with its next sync, at whichever process of the authority; so while someone waits, the leases on record
are read every few milliseconds. No wall clock decides: leases are counted out on this process's own `clock`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog
from msgspec import Struct

from services.token_authority.domain.lease import GuardKey, LeaseWatch, Wait
from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.storage import guards
from shared.runtime.postgres.database import Database, DatabaseUnavailable

WATCH_EVERY_S: Final = 0.5
FIRST_LOOK_S: Final = 0.008
SLOWEST_LOOK_S: Final = 0.05

_log = structlog.get_logger()


class Effect(Struct, frozen=True):
    """How far a change is in force: `confirmed` and `expired` count the guards that it has waited for."""

    effective: bool
    waited_ms: float
    confirmed: int
    expired: int


class Confirmations:
    """One a process."""

    def __init__(self, database: Database, metrics: AuthorityMetrics, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._metrics = metrics
        self._clock = clock
        self._watch = LeaseWatch()
        self._waits: dict[Wait, asyncio.Event] = {}
        self._look = asyncio.Event()
        self._pause_s = FIRST_LOOK_S
        self._stopping = False

    async def wait(self, wait: Wait) -> Effect:
        """Return when the change is in force everywhere, or when this process is stopping."""
        heard = self._waits[wait] = asyncio.Event()
        self._pause_s = FIRST_LOOK_S
        self._look.set()
        try:
            while not wait.is_over and not self._stopping:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait.deadline - self._clock()):
                        await heard.wait()
                heard.clear()
                wait.pass_to(self._clock())
        finally:
            del self._waits[wait]
        waited_s = self._clock() - wait.committed_at
        if wait.is_over:
            self._metrics.revocation_wait_s.observe(waited_s)
        return Effect(wait.is_over, round(waited_s * 1000, 1), wait.confirmed, wait.expired)

    def left_s(self, wait: Wait) -> float:
        """In how many seconds the change is in force everywhere, if nobody confirms."""
        return max(0.0, wait.deadline - self._clock())

    def hear(self, guard: GuardKey, applied: int) -> None:
        """A guard has told this process how far it has applied the log."""
        for wait, heard in self._waits.items():
            wait.hear(guard, applied)
            if wait.is_over:
                heard.set()

    def hear_early(self, guard: GuardKey, applied: int) -> None:
        """The same, while the log has not been asked whether it goes that far: believed as far as it is known to."""
        if applied <= max((wait.seq for wait in self._waits), default=0):
            self.hear(guard, applied)

    def stop_waiting(self) -> None:
        """Answer those who wait with what is known."""
        self._stopping = True
        for heard in self._waits.values():
            heard.set()

    async def run(self) -> None:
        """Watch the leases until cancelled."""
        while True:
            await self._rest()
            with contextlib.suppress(DatabaseUnavailable):
                await self._see()

    async def _rest(self) -> None:
        if not self._waits:
            self._look.clear()
            self._pause_s = FIRST_LOOK_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_EVERY_S):
                    await self._look.wait()
        if self._waits:
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(self._pause_s * 2, SLOWEST_LOOK_S)

    async def _see(self) -> None:
        waits = list(self._waits.items())  # whose changes were committed before the leases are read
        leases = await guards.select_leases(self._database)
        seen_at = self._clock()
        self._metrics.guards.set(len(leases))
        for wait, heard in waits:
            wait.see(leases)
            if wait.is_over:
                heard.set()
        for lease in self._watch.run_out(leases, seen_at):
            if await guards.remove_expired(self._database, lease):
                _log.warning("a guard's lease has run out: it is dead, stopped or cut off", **lease.guard._asdict())
