"""Leases of guards, and when a change is effective: when no guard can still answer from a cache without it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from shared.contract.sync import revocation_bound_s


class GuardKey(NamedTuple):
    """Identifies a guard by its service and by its own random id, so a service cannot act for another's guards."""

    client_id: str
    guard_id: str


class Lease(NamedTuple):
    """A stored lease. `applied` is the last `seq` that the guard applied; each renewal sets a new `renewal` id."""

    guard: GuardKey
    applied: int
    lease_s: float
    renewal: UUID


class Leases(NamedTuple):
    """Every stored lease, and the newest change of the log as of the same moment."""

    leases: list[Lease]
    head: int


class Effect(Struct, frozen=True):
    """How far a change is effective. `confirmed` and `expired` count the guards that held a lease at its commit."""

    effective: bool
    waited_ms: float
    confirmed: int
    expired: int


class PendingChange:
    """A committed change and the guards that may not have applied it yet: those with a lease at its commit.

    A lease that is granted after the commit includes the change. `committed_at` is read after the commit, on the
    caller's clock. `deadline`, on the same clock, is when the last of the leases has certainly expired. `change_id` is
    the random id of the row, if this process has just appended it.
    """

    def __init__(self, seq: int, leases: Iterable[Lease], committed_at: float, change_id: UUID | None = None) -> None:
        self.seq = seq
        self.change_id = change_id
        self.committed_at = committed_at
        self.deadline = committed_at
        self._pending: set[GuardKey] = set()
        self.is_lost = False
        """Whether the database was restored, and may lack this change."""
        self.confirmed = 0
        self.expired = 0
        for lease in leases:
            if lease.applied >= seq:
                self.confirmed += 1
            else:
                self._pending.add(lease.guard)
                self.deadline = max(self.deadline, committed_at + revocation_bound_s(lease.lease_s))

    @property
    def replicas(self) -> int:
        """How many guards held a lease at the commit."""
        return self.confirmed + self.expired + len(self._pending)

    @property
    def is_effective(self) -> bool:
        """Whether every guard has applied the change or is out of its lease."""
        return not self._pending

    def confirm(self, guard: GuardKey, applied: int) -> None:
        """Take in that `guard` has applied the log up to and including `applied`."""
        if applied >= self.seq and guard in self._pending:
            self._pending.remove(guard)
            self.confirmed += 1

    def observe(self, applied: Mapping[GuardKey, int]) -> None:
        """Take in what each guard with a stored lease has applied. A missing lease has expired or was released.

        Look at the guards that have not confirmed only: many changes may wait while there are many guards.
        """
        for guard in self._pending & applied.keys():
            self.confirm(guard, applied[guard])
        self._expire(self._pending - applied.keys())

    def advance_to(self, now: float) -> None:
        """Count every pending guard as expired if `now` has reached the deadline."""
        if now >= self.deadline:
            self._expire(set(self._pending))

    def _expire(self, guards: set[GuardKey]) -> None:
        self._pending -= guards
        self.expired += len(guards)


class LeaseWatch:
    """Finds expired leases: those that one clock has seen without a renewal for the lease and a margin."""

    def __init__(self) -> None:
        self._first_seen: dict[Lease, float] = {}

    def select_expired(self, leases: Iterable[Lease], seen_at: float) -> list[Lease]:
        """Take in the leases stored at `seen_at`. Return those that have expired."""
        self._first_seen = {lease: self._first_seen.get(lease, seen_at) for lease in leases}
        return [
            lease for lease, first in self._first_seen.items() if seen_at >= first + revocation_bound_s(lease.lease_s)
        ]
