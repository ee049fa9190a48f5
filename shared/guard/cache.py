"""A bounded TTL cache; equal TTLs make eviction FIFO."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

V = TypeVar("V")

_REMOVED_PER_PUT: Final = 2


class ExpiringCache(Generic[V]):
    """Keep up to `size` values by digest, each for `life_s` seconds. A hit does not renew a value."""

    def __init__(self, *, size: int, life_s: float, clock: Callable[[], float]) -> None:
        self._entries: OrderedDict[bytes, tuple[V, float]] = OrderedDict()
        self._size = size
        self._life_s = life_s
        self._clock = clock

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: bytes) -> V | None:
        """Return the value, or `None` if there is none or it has expired."""
        return self.get_at(digest, self._clock())

    def get_at(self, digest: bytes, now: float) -> V | None:
        """Return what `get` does, for a caller that has just read the cache's clock."""
        entry = self._entries.get(digest)
        if entry is None or entry[1] <= now:
            return None
        return entry[0]

    def put(self, digest: bytes, value: V, asked_at: float) -> None:
        """Store `value`, whose life started at `asked_at` on this cache's clock. Evict the oldest value if full."""
        entries = self._entries
        entries.pop(digest, None)
        if len(entries) >= self._size:
            entries.popitem(last=False)
        self._remove_expired()
        entries[digest] = (value, asked_at + self._life_s)

    def _remove_expired(self) -> None:
        """Remove the oldest values if they have expired: more than are stored, so that few of them take memory."""
        now = self._clock()
        for _ in range(_REMOVED_PER_PUT):
            oldest = next(iter(self._entries.values()), None)
            if oldest is None or oldest[1] > now:
                return
            self._entries.popitem(last=False)

    def drop(self, digest: bytes) -> None:
        """Remove one value."""
        self._entries.pop(digest, None)

    def clear(self) -> None:
        """Remove every value."""
        self._entries.clear()
