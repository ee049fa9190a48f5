"""Limit how much runs at once, and how much of that for one key, so that no key takes the places of all others."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class QueueFull(Exception):
    """Too many already wait for a place of this key."""


class FairSemaphore:
    """Up to `total` places, of which a key gets up to `per_key`. Per key, waiters are served first come, first served.

    `queue` limits how many wait for a place of one key. Keys without a holder or waiter take no memory.
    """

    def __init__(self, *, total: int, per_key: int, queue: int) -> None:
        self._places = asyncio.Semaphore(total)
        self._per_key = per_key
        self._queue = queue
        self._keys: dict[str, _Key] = {}

    def __len__(self) -> int:
        return len(self._keys)

    @asynccontextmanager
    async def acquire(self, key: str) -> AsyncGenerator[None, None]:
        """Hold a place during the block. Raise `QueueFull` at once if too many wait for the same key."""
        entry = self._keys.setdefault(key, _Key(asyncio.Semaphore(self._per_key)))
        if entry.users >= self._per_key + self._queue:
            raise QueueFull(key)
        entry.users += 1
        try:
            async with entry.places, self._places:
                yield
        finally:
            entry.users -= 1
            if not entry.users:
                del self._keys[key]


class _Key:
    def __init__(self, places: asyncio.Semaphore) -> None:
        self.places = places
        self.users = 0
