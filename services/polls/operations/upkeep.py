"""Removes, from time to time, the answers that nobody can ask for any more."""

import asyncio
from typing import Final

import structlog

from services.polls.storage.answers import forget_answers
from shared.runtime.postgres.database import Database, DatabaseUnavailable

EVERY_S: Final = 600.0
MOST: Final = 1_000
"""At a time, so that no statement takes long."""

_log = structlog.get_logger()


class Upkeep:
    """One a process; those of several replicas do not get into each other's way."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Remove until cancelled."""
        while True:
            try:
                while await forget_answers(self._database, MOST) == MOST:
                    pass
            except DatabaseUnavailable as error:
                _log.warning("old answers were not removed; tried again later", error=str(error))
            await asyncio.sleep(EVERY_S)
