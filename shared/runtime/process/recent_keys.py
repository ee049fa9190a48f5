"""Remember which keys were seen recently, in bounded memory."""

from collections.abc import Callable


class RecentKeys:
    """Up to `size` keys, each for `ttl_s` seconds after it was last added.

    If there is no room for a new key, the one that was added first is forgotten.
    """

    def __init__(self, size: int, ttl_s: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._ttl_s = ttl_s
        self._clock = clock
        self._expiry_by_key: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._expiry_by_key)

    def __contains__(self, key: str) -> bool:
        return self._expiry_by_key.get(key, float("-inf")) > self._clock()

    def add(self, key: str) -> None:
        """Remember the key from now."""
        self._expiry_by_key.pop(key, None)
        if len(self._expiry_by_key) >= self._size:
            del self._expiry_by_key[next(iter(self._expiry_by_key))]
        self._expiry_by_key[key] = self._clock() + self._ttl_s

    def discard(self, key: str) -> None:
        """Forget the key, if it is remembered."""
        self._expiry_by_key.pop(key, None)
