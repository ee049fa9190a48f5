"""The guard's right to answer from its cache: it runs out by itself unless a sync renews it."""

import asyncio
from collections.abc import Callable


class Lease:
    """Times are of `clock`, which goes on while the process is stopped or the machine sleeps."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.confirmed_at = float("-inf")
        self.until = float("-inf")
        self._renewed = asyncio.Event()

    @property
    def is_held(self) -> bool:
        """Whether the cache may be used now."""
        return self._clock() < self.until

    @property
    def remaining_s(self) -> float:
        """For how long it is still held unless it is renewed; 0 where it is not."""
        return max(0.0, self.until - self._clock())

    async def is_held_within(self, limit_s: float) -> bool:
        """Whether it is held when this returns: now, or once it is back, in so many seconds at most."""
        try:
            async with asyncio.timeout(limit_s):
                while not self.is_held:
                    self._renewed.clear()
                    await self._renewed.wait()
        except TimeoutError:
            return self.is_held
        return True

    def renew(self, asked_at: float, length_s: float) -> None:
        """The authority has granted the lease: it counts from when it was asked for, not from when it arrived."""
        self.confirmed_at = max(self.confirmed_at, asked_at)
        self.until = max(self.until, asked_at + length_s)
        self._renewed.set()

    def release(self) -> None:
        """Use the cache no more."""
        self.until = float("-inf")
