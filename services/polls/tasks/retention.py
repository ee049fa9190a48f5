"""Delete stored responses that have expired."""

import asyncio
from typing import Final

import structlog

from services.polls.storage.idempotency import delete_expired_responses
from shared.runtime.postgres.database import Database, DatabaseUnavailable

INTERVAL_S: Final = 600.0
MAX_PER_STATEMENT: Final = 1_000

_log = structlog.get_logger()


class Retention:
    """Deletes expired responses every 10 minutes. Replicas do not block each other."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Delete until cancelled."""
        while True:
            try:
                while await delete_expired_responses(self._database, MAX_PER_STATEMENT) == MAX_PER_STATEMENT:
                    pass
            except DatabaseUnavailable as error:
                _log.warning("expired responses were not deleted; the next attempt is in 10 minutes", error=str(error))
            await asyncio.sleep(INTERVAL_S)
