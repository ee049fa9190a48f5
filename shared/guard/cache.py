"""A bounded dictionary whose entries run out: all live equally long, so the oldest is always the first to go."""

from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class ExpiringCache(Generic[V]):
    """Up to `size` values by digest, each for `life_s` seconds from when it was asked for; a hit does not renew it."""

    def __init__(self, *, size: int, life_s: float, clock: Callable[[], float]) -> None:
        self._entries: dict[bytes, tuple[V, float]] = {}
        self._size = size
        self._life_s = life_s
        self._clock = clock

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: bytes) -> V | None:
        """The value, unless it has run out."""
        entry = self._entries.get(digest)
        if entry is None or entry[1] <= self._clock():
            return None
        return entry[0]

    def put(self, digest: bytes, value: V, asked_at: float) -> None:
        """Keep `value`, counting its life from `asked_at` on this cache's clock; the oldest makes room."""
        self._entries.pop(digest, None)
        if len(self._entries) >= self._size:
            del self._entries[next(iter(self._entries))]
        self._entries[digest] = (value, asked_at + self._life_s)

    def drop(self, digest: bytes) -> None:
        """Forget one value."""
        self._entries.pop(digest, None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
