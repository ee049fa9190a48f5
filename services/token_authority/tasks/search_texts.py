"""Complete the search texts of tokens that an earlier release has stored, a few at a time, until all are done."""

import asyncio
from typing import Final

from services.token_authority.storage.search_texts import complete_search_texts
from shared.runtime.postgres.database import Database, DatabaseUnavailable

BATCH: Final = 200
"""Tokens per statement: each writes about a hundred index entries."""
PAUSE_S: Final = 0.05
RETRY_S: Final = 10.0


class SearchTexts:
    """Completes search texts. Create one instance per process and supervise its `run()`. Several may run at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Go through all tokens once."""
        after: str | None = ""
        while after is not None:
            try:
                after = await complete_search_texts(self._database, after, BATCH)
                await asyncio.sleep(PAUSE_S)
            except DatabaseUnavailable:
                await asyncio.sleep(RETRY_S)
