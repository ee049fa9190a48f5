"""The change log: numbered changes to tokens, which guards apply in order, and proofs that it has gone back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from shared.contract.change import Change


class LoggedChange(Struct, frozen=True):
    """A row of the log. `digest` is the SHA-256 of a secret, in hex; `id` is random."""

    seq: int
    digest: str
    id: UUID
    recorded_at: datetime


class AppliedChange(NamedTuple):
    """A change that a guard has proven to have applied, so this row was in the log."""

    seq: int
    id: UUID


class LogRange(NamedTuple):
    """The part of the log that is stored: every `seq` above `floor`, up to and including `head`, the `newest` row."""

    head: int
    floor: int
    newest: LoggedChange | None = None


def is_contiguous(applied: int | None, log_range: LogRange, changes: Sequence[Change]) -> bool:
    """Return whether `changes` lead from `applied` to the head of the log without a gap."""
    return applied is not None and [change.seq for change in changes] == list(range(applied + 1, log_range.head + 1))


def contradicts(applied: AppliedChange, log_range: LogRange, ids: Mapping[int, UUID]) -> bool:
    """Return whether the log lacks a row that it once had, so that it must have gone back.

    `ids` has the id of each row that a guard may have applied last. A row that the log has deleted because every guard
    had applied it, or in an earlier epoch, proves nothing.
    """
    return applied.seq > log_range.head or (applied.seq > log_range.floor and ids.get(applied.seq) != applied.id)
