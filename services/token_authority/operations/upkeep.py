"""Trims what has had its time: changes that every guard has applied and Redis has had, old days of use, and services'
assertions that have expired.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Final

from services.token_authority.storage import changes, service_assertions, usage
from shared.runtime.postgres.database import Database, DatabaseUnavailable

EVERY_S: Final = 60.0
KEPT: Final = timedelta(minutes=10)
"""For guards whose lease has run out, which would start with an empty cache without these rows."""
DAYS_KEPT: Final = timedelta(days=400)
"""A year of use, and time to compare it with the month before."""
MAX_DAYS: Final = 10_000
"""Rows of use removed at a time, so that it stays within a statement's time."""
CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""By how much at most: what has expired here may be good at another process for so long."""


class Upkeep:
    """One a process; several at once do no harm."""

    def __init__(self, database: Database, *, every_s: float = EVERY_S, kept: timedelta = KEPT) -> None:
        self._database = database
        self._every_s = every_s
        self._kept = kept

    async def run(self) -> None:
        """Trim until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            with contextlib.suppress(DatabaseUnavailable):
                await self.trim(datetime.now(UTC))

    async def trim(self, now: datetime) -> None:
        """Remove what is old at `now` and needed by nobody."""
        async with self._database.transaction() as transaction:
            await changes.lock_log(transaction)
            await changes.trim_log(transaction, now - self._kept)
        await usage.trim_days(self._database, (now - DAYS_KEPT).date(), MAX_DAYS)
        await service_assertions.delete_expired_assertions(self._database, now - CLOCKS_DIFFER)
