"""Lets few requests at a time wait for the same poll in the database, so that those for other polls find connections.

Whoever votes in a poll, or edits it, waits for whoever does so already: for a moment, or for as long as an edit of a
million ballots takes.
"""

import asyncio
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

PLACES: Final = 3
"""For each poll: one that is at work, and who follows at once."""


class PollSemaphores:
    """One a process."""

    def __init__(self) -> None:
        self._polls = WeakValueDictionary[UUID, asyncio.Semaphore]()

    def of(self, poll_id: UUID) -> asyncio.Semaphore:
        """To be held while the poll is changed: `async with turns.of(poll_id)`. It is had in the order of asking."""
        return self._polls.setdefault(poll_id, asyncio.Semaphore(PLACES))
