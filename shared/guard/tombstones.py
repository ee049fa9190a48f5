"""Which tokens have changed recently, so that an introspection answer from before the change is rejected."""

from typing import Final

MAX_TOMBSTONES: Final = 20_000


class Tombstones:
    """The `seq` of the latest change of each token, for up to `size` tokens.

    If more tokens have changed, the oldest entry is removed and its `seq` becomes the floor: an answer that is older
    than the floor is rejected for any token.
    """

    def __init__(self, size: int = MAX_TOMBSTONES) -> None:
        self._changed_at: dict[bytes, int] = {}
        self._size = size
        self._floor = 0

    def add(self, digest: bytes, seq: int) -> None:
        """Record the change `seq` of a token. `seq` must be higher than all before."""
        self._changed_at.pop(digest, None)
        self._changed_at[digest] = seq
        if len(self._changed_at) > self._size:
            self._floor = self._changed_at.pop(next(iter(self._changed_at)))

    def latest_change(self, digest: bytes) -> int:
        """Return the `seq` of the latest known change of the token, or 0."""
        return self._changed_at.get(digest, 0)

    def reset(self, head: int) -> None:
        """Reject all answers that are older than `head`: any token may have changed up to and including that change."""
        self._changed_at.clear()
        self._floor = head

    def allows(self, digest: bytes, as_of: int) -> bool:
        """Return whether an answer from `as_of` is at least as new as every applied change of the token."""
        return as_of >= self._floor and self._changed_at.get(digest, 0) <= as_of
