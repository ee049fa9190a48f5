"""Limit how many requests of this process wait for the same poll in the database.

Requests that vote in a poll or edit it wait for each other, which takes long if an edit changes a million ballots.
Without the limit they would hold all connections of the pool, and requests for other polls would get none. Casting
ballots is limited by itself: those of one poll are cast by one transaction at a time.
"""

import asyncio
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

MAX_PER_POLL: Final = 2
"""One request holds the lock of the poll in the database, and another one waits for it there."""


class PollSemaphores:
    """A semaphore for each poll. Create one instance per process."""

    def __init__(self) -> None:
        self._semaphores = WeakValueDictionary[UUID, asyncio.Semaphore]()

    def of(self, poll_id: UUID) -> asyncio.Semaphore:
        """Return the semaphore to hold while the poll is changed. Waiters are served first come, first served."""
        return self._semaphores.setdefault(poll_id, asyncio.Semaphore(MAX_PER_POLL))
