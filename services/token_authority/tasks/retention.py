"""Delete data that is no longer needed: published changes that every guard has applied, old daily counts, expired
client assertions, and findings that are no longer kept.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Final

from services.token_authority.storage import changes, kept_findings, service_assertions, usage
from shared.runtime.postgres.database import Database, DatabaseUnavailable

INTERVAL_S: Final = 60.0
CHANGES_KEPT: Final = timedelta(hours=7)
"""Longer than guards keep changes: what a guard reports, and the log lacks, was never deleted from it. It also lets a
guard whose lease has expired continue from its place in the log instead of an empty cache."""
DAYS_KEPT: Final = timedelta(days=400)
"""A year of daily counts, and a month before it to compare with."""
MAX_DAYS: Final = 10_000
"""Daily counts deleted per statement, so that it stays within the statement timeout."""
MAX_KEPT_FINDINGS: Final = 1000
"""Kept findings deleted per statement."""
MAX_CLOCK_DIFFERENCE: Final = timedelta(minutes=1)
"""The clock of another process may be slow by this much, so an assertion that has expired here may be valid there."""


class Retention:
    """Deletes old data. Create one instance per process and supervise its `run()`. Several may run at the same time."""

    def __init__(
        self, database: Database, *, interval_s: float = INTERVAL_S, changes_kept: timedelta = CHANGES_KEPT
    ) -> None:
        self._database = database
        self._interval_s = interval_s
        self._changes_kept = changes_kept

    async def run(self) -> None:
        """Delete old data at an interval until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            with contextlib.suppress(DatabaseUnavailable):
                await self.delete_old(datetime.now(UTC))

    async def delete_old(self, now: datetime) -> None:
        """Delete the data that is no longer needed at `now`."""
        async with self._database.transaction() as transaction:
            await changes.lock_log(transaction)
            await changes.trim_log(transaction, now - self._changes_kept)
        await usage.trim_days(self._database, (now - DAYS_KEPT).date(), MAX_DAYS)
        await service_assertions.delete_expired_assertions(self._database, now - MAX_CLOCK_DIFFERENCE)
        await kept_findings.delete_ended_kept_findings(self._database, now, MAX_KEPT_FINDINGS)
