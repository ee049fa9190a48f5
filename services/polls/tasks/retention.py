"""Delete sessions that are over, stored responses that have expired, and personal links that have ended long ago."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from services.polls.storage.idempotency import delete_expired_responses
from services.polls.storage.links import delete_ended_links
from services.polls.storage.sessions import delete_old_sessions
from shared.runtime.pages.session_limits import SessionLimits
from shared.runtime.postgres.database import Database, DatabaseUnavailable

INTERVAL_S: Final = 600.0
MAX_PER_STATEMENT: Final = 1_000
ENDED_LINK_LIFE: Final = timedelta(days=30)
"""How long a personal link is listed after its end."""

_log = structlog.get_logger()


class Retention:
    """Deletes what has ended every 10 minutes. Replicas do not block each other."""

    def __init__(self, database: Database, limits: SessionLimits) -> None:
        self._database = database
        self._limits = limits

    async def run(self) -> None:
        """Delete until cancelled."""
        while True:
            try:
                await self._delete()
            except DatabaseUnavailable as error:
                _log.warning(
                    "old sessions, responses and links were not deleted; the next attempt is in 10 minutes",
                    error=str(error),
                )
            await asyncio.sleep(INTERVAL_S)

    async def _delete(self) -> None:
        await delete_old_sessions(self._database, self._limits, datetime.now(UTC))
        while await delete_expired_responses(self._database, MAX_PER_STATEMENT) == MAX_PER_STATEMENT:
            pass
        before = datetime.now(UTC) - ENDED_LINK_LIFE
        while await delete_ended_links(self._database, before, MAX_PER_STATEMENT) == MAX_PER_STATEMENT:
            pass
