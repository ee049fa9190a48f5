"""A sliding window of one minute, kept as two counters, and a bounded memory of many such windows."""

from collections.abc import Callable
from math import floor, inf
from typing import Final, NamedTuple

WINDOW_S: Final = 60


class Window(NamedTuple):
    """What was counted in the minute that has `left_s` to go, and in the one `previous` to it.

    The last sixty seconds reach into the previous minute by `left_s`, and so much of its count is held against them.
    """

    previous: int
    current: int
    left_s: float

    @property
    def used(self) -> int:
        """What counts as of the last sixty seconds."""
        return floor(self.previous * self.left_s / WINDOW_S) + self.current

    @property
    def reset_s(self) -> float:
        """In how many seconds less will be used than now, where nothing is counted meanwhile."""
        return self.left_s % (WINDOW_S / self.previous) if self.previous else self.left_s

    def wait_s(self, limit: int) -> float:
        """In how many seconds less than `limit` will be used, where nothing is counted meanwhile."""
        if self.used < limit:
            return 0.0
        if self.current < limit:
            return self.left_s - WINDOW_S * (limit - self.current) / self.previous
        return self.left_s + WINDOW_S * (1 - limit / self.current)


class WindowMemory:
    """Up to `size` windows by key; where more are wanted, the one that has gone uncounted for longest is forgotten."""

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        self._size = size
        self._clock = clock
        self._counters: dict[str, _Counters] = {}

    def __len__(self) -> int:
        return len(self._counters)

    def read(self, key: str) -> Window:
        """The key's window as it is now."""
        now = self._clock()
        previous, current, ends_at = self._counters.get(key, _NEVER).at(now)
        return Window(previous, current, ends_at - now)

    def add(self, key: str, cost: int) -> Window:
        """Count; the key's window as it is then."""
        now = self._clock()
        previous, current, ends_at = self._counters.pop(key, _NEVER).at(now)
        if len(self._counters) >= self._size:
            del self._counters[next(iter(self._counters))]
        self._counters[key] = _Counters(previous, current + cost, ends_at)
        return Window(previous, current + cost, ends_at - now)


class _Counters(NamedTuple):
    previous: int
    current: int
    ends_at: float

    def at(self, now: float) -> "_Counters":
        late_s = now - self.ends_at
        if late_s < 0:
            return self
        if late_s < WINDOW_S:
            return _Counters(self.current, 0, self.ends_at + WINDOW_S)
        return _Counters(0, 0, now + WINDOW_S)


_NEVER: Final = _Counters(0, 0, -inf)
