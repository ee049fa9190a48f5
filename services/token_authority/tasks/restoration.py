"""Notice that the database has gone back to an earlier state, and follow the restoration until it is finished.

The change log only grows. A process remembers the newest number that it has seen. If a statement that was sent later
finds a smaller one, the database was restored, or a standby without the last commits has taken over.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

import structlog

from services.token_authority.domain.change_log import LoggedChange
from services.token_authority.domain.errors import Restored
from services.token_authority.domain.restoration import Evidence, ReportedChange, Restoration
from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.storage import restoration
from services.token_authority.storage.changes import select_head
from services.token_authority.tasks.receipts import Receipts
from shared.contract.change import Change
from shared.runtime.postgres.database import Database, DatabaseUnavailable
from shared.runtime.process.outage import Unavailable
from shared.runtime.process.recent_values import RecentValues

INTERVAL_S: Final = 1.0
"""Between two looks for a restoration that another process or an operator has begun or finished."""
KEPT_S: Final = 6 * 3600.0
MAX_KEPT: Final = 50_000
OWN_REPORTS: Final = "authority"
"""Stands for this service among those that have reported changes; no service can have this client id."""

_WHAT_TO_DO: Final = "run `pollgate restore status`, then `pollgate restore finish`"

_log = structlog.get_logger()


class RestorationWatch:
    """Notices that the database has gone back. Create one instance per process and supervise its `run()`."""

    def __init__(
        self, database: Database, receipts: Receipts, metrics: AuthorityMetrics, *, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._receipts = receipts
        self._metrics = metrics
        self._newest = 0
        self._committed: RecentValues[LoggedChange] = RecentValues(MAX_KEPT, KEPT_S, clock)
        self._open: Restoration | None = None

    @property
    def newest(self) -> int:
        """The newest number that this process has seen. Read it before a statement is sent."""
        return self._newest

    async def require_current(self, found: int, expected: int) -> None:
        """Take in that the head of the log is `found`, by a statement that was sent when `newest` was `expected`.

        If it is smaller, begin a restoration and raise `Restored`.
        """
        if found >= expected:
            self._newest = max(self._newest, found)
            return
        detail = "a process of the token authority has seen a newer change than the log has"
        await self.refuse(Evidence("process", detail, expected, found))

    async def refuse(self, evidence: Evidence) -> NoReturn:
        """Begin a restoration and raise `Restored`."""
        await self.begin(evidence)
        raise Restored

    async def require_appended(self, appended: Sequence[LoggedChange], expected: int) -> None:
        """Do this for changes that a transaction has just appended, before it commits."""
        if appended:
            await self.require_current(appended[0].seq - 1, expected)

    def remember(self, committed: Sequence[LoggedChange]) -> None:
        """Keep changes that this process has committed, and report them if the database loses them."""
        for change in committed:
            self._newest = max(self._newest, change.seq)
            self._committed.add(change)

    async def begin(self, evidence: Evidence) -> None:
        """Begin a restoration, unless one is open. From then on, no process accepts a token or a credential."""
        if await restoration.begin_restoration(self._database, evidence):
            await self.look()

    async def store_report(self, client_id: str, reported: Sequence[Change]) -> None:
        """Store those changes that a service has proven and that the log lacks. Without a restoration, do nothing."""
        found = await restoration.select_open_restoration(self._database)
        if found is None:
            return
        proven = [(change, self._receipts.verify(change)) for change in reported]
        changes = [
            ReportedChange(applied.seq, applied.id, bytes.fromhex(change.digest))
            for change, applied in proven
            if applied
        ]
        if changes:
            await restoration.insert_reported_changes(self._database, found, client_id, changes)

    async def check(self) -> None:
        """Raise `Unavailable` if a restoration is open."""
        found = await restoration.select_open_restoration(self._database)
        if found is not None:
            raise Unavailable(
                f"the database was restored ({_public_reason(found.evidence)}), so no token is accepted; {_WHAT_TO_DO}"
            )

    async def run(self) -> None:
        """Look for a restoration at an interval until cancelled."""
        while True:
            with contextlib.suppress(DatabaseUnavailable, Restored):
                await self.look()
            await asyncio.sleep(INTERVAL_S)

    async def look(self) -> None:
        """Log and count the begin and the end of a restoration, and report what this process has committed before."""
        expected = self._newest
        found = await restoration.select_open_restoration(self._database)
        if found is None:
            await self.require_current(await select_head(self._database), expected)
        self._metrics.restored.set(0 if found is None else 1)
        if found is not None and (self._open is None or self._open.id != found.id):
            _log_begin(found)
            await self._report(found)
        elif found is None and self._open is not None:
            _log.info("The restoration is finished: tokens and credentials are accepted again")
            self._committed.clear()
        self._open = found

    async def _report(self, found: Restoration) -> None:
        committed = [ReportedChange(c.seq, c.id, bytes.fromhex(c.digest)) for c in self._committed.list()]
        if committed:
            await restoration.insert_reported_changes(self._database, found, OWN_REPORTS, committed)


def _public_reason(evidence: Evidence) -> str:
    """Return how the restore is known, for anyone. Who has said so, and in which words, is for the log."""
    return "an operator says so" if evidence.source == "operator" else evidence.detail


def _log_begin(found: Restoration) -> None:
    evidence = found.evidence
    _log.error(
        "The database was restored: it lacks changes that were made before. No token and no credential is accepted; "
        + _WHAT_TO_DO,
        source=evidence.source,
        found=evidence.detail,
        expected_seq=evidence.expected_seq,
        found_seq=evidence.found_seq,
        client_id=evidence.client_id,
        guard_id=evidence.guard_id,
    )
