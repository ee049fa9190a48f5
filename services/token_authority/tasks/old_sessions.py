"""Remove sessions that are over, and sign-in links that can no longer be used."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Final

from services.token_authority.storage.sessions import delete_old_sessions
from shared.runtime.pages.session_limits import SessionLimits
from shared.runtime.postgres.database import Database, DatabaseUnavailable

INTERVAL_S: Final = 600.0


class OldSessions:
    """Removes old sessions. Supervise its `run()`. Several processes may do this at the same time."""

    def __init__(self, database: Database, limits: SessionLimits) -> None:
        self._database = database
        self._limits = limits

    async def run(self) -> None:
        """Remove old sessions at an interval until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            with contextlib.suppress(DatabaseUnavailable):
                await delete_old_sessions(self._database, self._limits, datetime.now(UTC))
