"""The guard's right to answer from its cache: it runs out by itself unless a sync renews it."""

from collections.abc import Callable


class Lease:
    """Times are of `clock`, which goes on while the process is stopped or the machine sleeps."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.confirmed_at = float("-inf")
        self.until = float("-inf")

    @property
    def held(self) -> bool:
        """Whether the cache may be used now."""
        return self._clock() < self.until

    def renew(self, asked_at: float, length_s: float) -> None:
        """The authority has granted the lease: it counts from when it was asked for, not from when it arrived."""
        self.confirmed_at = max(self.confirmed_at, asked_at)
        self.until = max(self.until, asked_at + length_s)

    def give_up(self) -> None:
        """Use the cache no more."""
        self.until = float("-inf")
