"""The latest values of a stream, bounded in number and age."""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class RecentValues(Generic[T]):
    """Keeps up to `size` values for `life_s` seconds of `clock`. The oldest ones go first."""

    def __init__(self, size: int, life_s: float, clock: Callable[[], float]) -> None:
        self._values: deque[tuple[float, T]] = deque(maxlen=size)
        self._life_s = life_s
        self._clock = clock

    def add(self, value: T) -> None:
        """Add a value."""
        now = self._clock()
        self._values.append((now, value))
        self._drop_old(now)

    def list(self) -> list[T]:
        """Return the values, the oldest first."""
        self._drop_old(self._clock())
        return [value for _, value in self._values]

    def clear(self) -> None:
        """Drop every value."""
        self._values.clear()

    def _drop_old(self, now: float) -> None:
        while self._values and self._values[0][0] <= now - self._life_s:
            self._values.popleft()
