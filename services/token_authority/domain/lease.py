"""Who has to have heard of a change before it is in force everywhere: the guards that may answer from a cache."""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from shared.contract.change import Change
from shared.contract.sync import revocation_bound_s


class Span(NamedTuple):
    """The change log holds every change above `floor`, up to and with `head`."""

    head: int
    floor: int


class GuardKey(NamedTuple):
    """A guard by the service that it belongs to and its own random id, so that no service speaks for another's."""

    client_id: str
    guard_id: str


class Lease(NamedTuple):
    """A guard's lease on record: what it has applied, and an id that each renewal makes anew."""

    guard: GuardKey
    applied: int
    lease_s: float
    renewal: UUID


class Wait:
    """What a change waits for: each guard that held a lease when it was committed, confirming it or out of its lease.

    A lease granted later needs no waiting for: it came along with the change. `committed_at`, after the commit, is of
    the caller's clock, as is `deadline`: when every lease that it waits for has run out, if none confirms.
    """

    def __init__(self, seq: int, leases: Iterable[Lease], committed_at: float) -> None:
        self.seq = seq
        self.committed_at = committed_at
        self.deadline = committed_at
        self._pending: set[GuardKey] = set()
        self.confirmed = 0
        self.expired = 0
        for lease in leases:
            if lease.applied >= seq:
                self.confirmed += 1
            else:
                self._pending.add(lease.guard)
                self.deadline = max(self.deadline, committed_at + revocation_bound_s(lease.lease_s))

    @property
    def is_over(self) -> bool:
        """Whether the change is in force everywhere."""
        return not self._pending

    def hear(self, guard: GuardKey, applied: int) -> None:
        """A guard says how far it has applied the log."""
        if applied >= self.seq and guard in self._pending:
            self._pending.remove(guard)
            self.confirmed += 1

    def see(self, leases: Iterable[Lease]) -> None:
        """These are the leases on record now; one that is there no more has run out or been given back."""
        on_record = {lease.guard: lease.applied for lease in leases}
        for guard, applied in on_record.items():
            self.hear(guard, applied)
        self._expire(self._pending - on_record.keys())

    def pass_to(self, now: float) -> None:
        """Time goes on."""
        if now >= self.deadline:
            self._expire(set(self._pending))

    def _expire(self, guards: set[GuardKey]) -> None:
        self._pending -= guards
        self.expired += len(guards)


class LeaseWatch:
    """Finds leases that have run out by seeing them unchanged for long enough on one clock."""

    def __init__(self) -> None:
        self._first_seen: dict[Lease, float] = {}

    def run_out(self, leases: Iterable[Lease], seen_at: float) -> list[Lease]:
        """Of the leases on record, those not renewed since they were first seen, a lease and a margin ago."""
        self._first_seen = {lease: self._first_seen.get(lease, seen_at) for lease in leases}
        return [
            lease for lease, first in self._first_seen.items() if seen_at >= first + revocation_bound_s(lease.lease_s)
        ]


def may_follow(applied: int | None, span: Span, changes: list[Change]) -> bool:
    """Whether `changes` take a guard from `applied` to the head without a gap; else it has to start afresh."""
    return applied is not None and [change.seq for change in changes] == list(range(applied + 1, span.head + 1))
