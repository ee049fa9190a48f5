"""Which tokens have changed lately, so that an answer that is older than the change is not believed."""

from typing import Final

MAX_TOMBSTONES: Final = 20_000


class Tombstones:
    """The newest changes by token. What was known as of a change before `floor` cannot be judged any more."""

    def __init__(self, size: int = MAX_TOMBSTONES) -> None:
        self._changed_at: dict[bytes, int] = {}
        self._size = size
        self._floor = 0

    def add(self, digest: bytes, seq: int) -> None:
        """The token has changed at `seq`, which is higher than all before."""
        self._changed_at.pop(digest, None)
        self._changed_at[digest] = seq
        if len(self._changed_at) > self._size:
            self._floor = self._changed_at.pop(next(iter(self._changed_at)))

    def changed_at(self, digest: bytes) -> int:
        """The `seq` of the token's newest change that is known, else 0."""
        return self._changed_at.get(digest, 0)

    def reset(self, head: int) -> None:
        """Any token may have changed, up to and with `head`."""
        self._changed_at.clear()
        self._floor = head

    def allows(self, digest: bytes, as_of: int) -> bool:
        """Whether the token is known not to have changed since `as_of`, as far as the log has been applied."""
        return as_of >= self._floor and self._changed_at.get(digest, 0) <= as_of
