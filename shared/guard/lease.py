"""The guard's right to use its cache. It expires unless a sync renews it."""

import asyncio
from collections.abc import Callable


class Lease:
    """The lease of one guard. `clock` is in seconds and advances while the process is stopped or the machine sleeps.

    `until` is the end of the lease, and `confirmed_at` the time at which the sync that last renewed it was sent.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.confirmed_at = float("-inf")
        self.until = float("-inf")
        self._renewed = asyncio.Event()

    @property
    def is_held(self) -> bool:
        """Whether the guard may use its cache now."""
        return self.is_held_at(self._clock())

    def is_held_at(self, now: float) -> bool:
        """Return whether the guard may use its cache, for a caller that has just read the clock."""
        return now < self.until

    @property
    def remaining_s(self) -> float:
        """The seconds until the lease expires; 0 if it has expired."""
        return max(0.0, self.until - self._clock())

    async def is_held_within(self, limit_s: float) -> bool:
        """Wait for the lease for up to `limit_s` seconds. Return whether it is held."""
        try:
            async with asyncio.timeout(limit_s):
                while not self.is_held:
                    self._renewed.clear()
                    await self._renewed.wait()
        except TimeoutError:
            return self.is_held
        return True

    async def is_confirmed_since(self, at: float, limit_s: float) -> bool:
        """Wait for up to `limit_s` seconds for a renewal by a sync that was sent at `at` or later.

        Return whether there was one.
        """
        try:
            async with asyncio.timeout(limit_s):
                while self.confirmed_at < at:
                    self._renewed.clear()
                    await self._renewed.wait()
        except TimeoutError:
            return self.confirmed_at >= at
        return True

    def renew(self, asked_at: float, length_s: float) -> None:
        """Renew the lease for `length_s` seconds from `asked_at`, the time at which the sync was sent."""
        self.confirmed_at = max(self.confirmed_at, asked_at)
        self.until = max(self.until, asked_at + length_s)
        self._renewed.set()

    def release(self) -> None:
        """End the lease now."""
        self.until = float("-inf")
