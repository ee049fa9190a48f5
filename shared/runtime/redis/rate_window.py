"""Count events per key and minute in one storage of the `limits` library: Redis, or this process's memory.

The library's strategy "sliding window counter" decides and counts, with two counters per key instead of one time per
event. It assumes that the events of the previous minute were spread evenly; a burst at its end may let up
to twice the limit through within 60 s. Three things are ours, because the strategy's interface does not offer them:

- One count per key, whatever the limit. The library would start a new count when a limit changes.
- The time until more is allowed. `get_window_stats` returns the time until the count next falls, which may leave it
  above the limit, and 0 instead of 60 s in the first millisecond of a window. So both counters are read with the
  storage's `get_sliding_window`.
- A bound on memory. The library's memory storage has none, and it visits all of its keys on each hit: 19 ms for 50,000
  keys. `BoundedMemory` spreads the keys over many small storages.
"""

from math import floor
from typing import Final, NamedTuple

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

WINDOW_S: Final = 60

NO_LIMIT: Final = 10**9
"""A limit that is never reached, for what is counted in any case."""


class Verdict(NamedTuple):
    """Whether a request is allowed, and how many more would be.

    From an allowed `hit`, `reset_s` is the time until `remaining` next grows. From a refused one, it is the time until
    the same cost is allowed, and from `peek`, until a request is allowed, 0 if one is allowed now.
    """

    is_allowed: bool
    limit: int
    remaining: int
    reset_s: float


class SlidingWindow:
    """The counters in one storage."""

    def __init__(self, storage: RedisStorage | MemoryStorage) -> None:
        self._storage = storage
        self._strategy = SlidingWindowCounterRateLimiter(storage)

    async def hit(self, key: str, limit: int, cost: int) -> Verdict:
        """Count `cost` unless that would exceed the limit. Two calls to the storage."""
        allowed = await self._strategy.hit(_PerMinute(limit), key, cost=cost)
        counters = await self._read(key)
        remaining = max(0, limit - counters.used)
        if allowed:
            return Verdict(True, limit, remaining, counters.reset_s)
        return Verdict(False, limit, min(remaining, cost - 1), counters.wait_s(limit - cost + 1))

    async def count(self, key: str, cost: int) -> None:
        """Count `cost`, also beyond any limit."""
        await self._strategy.hit(_PerMinute(NO_LIMIT), key, cost=cost)

    async def peek(self, key: str, limit: int) -> Verdict:
        """Return whether a request is allowed, without counting one."""
        counters = await self._read(key)
        remaining = max(0, limit - counters.used)
        return Verdict(remaining > 0, limit, remaining, counters.wait_s(limit))

    async def clear(self, key: str) -> None:
        """Forget the key."""
        await self._strategy.clear(_PerMinute(NO_LIMIT), key)

    async def _read(self, key: str) -> "Counters":
        previous, _, current, expires_in_s = await self._storage.get_sliding_window(key, WINDOW_S)
        return Counters(previous, current, max(0.0, expires_in_s - WINDOW_S))


class BoundedMemory:
    """The counters of up to `size` keys in this process's memory.

    If there is no room for a new key, the key that has gone uncounted for longest is forgotten. Keys are spread over
    `parts` storages, each with an equal share of the room, so that a hit visits few keys.
    """

    def __init__(self, size: int, parts: int) -> None:
        self._parts = [_MemoryPart(size // parts) for _ in range(parts)]

    def __len__(self) -> int:
        return sum(len(part.keys) for part in self._parts)

    async def hit(self, key: str, limit: int, cost: int) -> Verdict:
        """Count `cost` unless that would exceed the limit."""
        part = self._part_of(key)
        await part.make_room_for(key)
        return await part.window.hit(key, limit, cost)

    async def count(self, key: str, cost: int) -> None:
        """Count `cost`, also beyond any limit."""
        part = self._part_of(key)
        await part.make_room_for(key)
        await part.window.count(key, cost)

    async def peek(self, key: str, limit: int) -> Verdict:
        """Return whether a request is allowed, without counting one."""
        return await self._part_of(key).window.peek(key, limit)

    def _part_of(self, key: str) -> "_MemoryPart":
        return self._parts[hash(key) % len(self._parts)]


class _MemoryPart:
    def __init__(self, size: int) -> None:
        self.window = SlidingWindow(MemoryStorage())
        self.keys: dict[str, None] = {}
        """In the order in which they were last counted."""
        self._size = size

    async def make_room_for(self, key: str) -> None:
        self.keys.pop(key, None)
        if len(self.keys) >= self._size:
            oldest = next(iter(self.keys))
            del self.keys[oldest]
            await self.window.clear(oldest)
        self.keys[key] = None


class Counters(NamedTuple):
    """What was counted in the current window, which ends in `left_s` seconds, and in the `previous` one.

    The last sixty seconds include `left_s` seconds of the previous window, so that share of its count is used.
    """

    previous: int
    current: int
    left_s: float

    @property
    def used(self) -> int:
        """The count of the last sixty seconds, rounded down."""
        return floor(self.previous * self.left_s / WINDOW_S) + self.current

    @property
    def reset_s(self) -> float:
        """The seconds until less is used than now, if nothing is counted meanwhile."""
        return self.left_s % (WINDOW_S / self.previous) if self.previous else self.left_s

    def wait_s(self, limit: int) -> float:
        """Return the seconds until less than `limit` is used, if nothing is counted meanwhile."""
        if self.used < limit:
            return 0.0
        if self.current < limit:
            return self.left_s - WINDOW_S * (limit - self.current) / self.previous
        return self.left_s + WINDOW_S * (1 - limit / self.current)


class _PerMinute(RateLimitItemPerMinute):
    """A limit whose storage key does not contain the limit."""

    def key_for(self, *identifiers: bytes | str | int | float) -> str:
        (key,) = identifiers
        return str(key)
