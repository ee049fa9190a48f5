"""Read what metrics show of the database: the head of the audit log, and how many tokens expire soon.

Every process reads and shows the same values, so a query over several processes takes their maximum.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Final

from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.storage import expiring_tokens
from services.token_authority.storage.audit import select_head_seq
from shared.runtime.postgres.database import Database, DatabaseUnavailable

INTERVAL_S: Final = 15.0
TOKENS_EVERY_S: Final = 300.0
"""Counting tokens visits each that expires soon."""
HORIZONS: Final = {"7d": timedelta(days=7), "30d": timedelta(days=30)}


class StoredFigures:
    """Reads the figures at an interval. Create one instance per process and supervise its `run()`."""

    def __init__(self, database: Database, metrics: AuthorityMetrics) -> None:
        self._database = database
        self._metrics = metrics

    async def run(self) -> None:
        """Read the figures until cancelled."""
        tokens_due_at, loop = 0.0, asyncio.get_running_loop()
        while True:
            with contextlib.suppress(DatabaseUnavailable):
                await self.read_audit_head()
                if loop.time() >= tokens_due_at:
                    await self.count_expiring_tokens(datetime.now(UTC))
                    tokens_due_at = loop.time() + TOKENS_EVERY_S
            await asyncio.sleep(INTERVAL_S)

    async def read_audit_head(self) -> None:
        """Show the number of the last audit record."""
        self._metrics.audit_head.set(await select_head_seq(self._database))

    async def count_expiring_tokens(self, now: datetime) -> None:
        """Show how many active tokens expire soon after `now`."""
        counts = await expiring_tokens.count_expiring(self._database, now, list(HORIZONS.values()))
        for horizon, count in zip(HORIZONS, counts, strict=True):
            self._metrics.tokens_expiring.labels(horizon).set(count)
