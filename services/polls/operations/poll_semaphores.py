"""Limit how many requests of this process wait for the same poll in the database.

Requests that vote in a poll, or edit it, wait for each other: for a moment, or for as long as an edit of a million
ballots takes. Without the limit they would take all connections, and requests for other polls would get none.
"""

import asyncio
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

MAX_PER_POLL: Final = 3
"""One request that is at work, and two that follow at once."""


class PollSemaphores:
    """A semaphore for each poll. Create one instance per process."""

    def __init__(self) -> None:
        self._semaphores = WeakValueDictionary[UUID, asyncio.Semaphore]()

    def of(self, poll_id: UUID) -> asyncio.Semaphore:
        """Return the semaphore to hold while the poll is changed. Waiters are served first come, first served."""
        return self._semaphores.setdefault(poll_id, asyncio.Semaphore(MAX_PER_POLL))
