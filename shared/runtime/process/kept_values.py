"""Keep values that take long to compute, up to a total size."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class KeptValues(Generic[K, V]):
    """Values by key. If there is no room for a new one, those that were kept first are dropped.

    `max_size` limits the sum of the sizes; a value of more than a hundredth of it is not kept.
    """

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._size = 0
        self._kept: OrderedDict[K, _Kept[V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """Return the value, or `None` if it is not kept."""
        kept = self._kept.get(key)
        return None if kept is None else kept.value

    def put(self, key: K, value: V, size: int) -> None:
        """Keep the value, in place of an earlier one."""
        earlier = self._kept.pop(key, None)
        if earlier is not None:
            self._size -= earlier.size
        if size > self._max_size // 100:
            return
        self._size += size
        while self._size > self._max_size:
            self._size -= self._kept.popitem(last=False)[1].size
        self._kept[key] = _Kept(value, size)


class _Kept(NamedTuple, Generic[V]):
    value: V
    size: int
