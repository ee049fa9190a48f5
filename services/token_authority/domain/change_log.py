"""The change log: numbered changes to tokens, which guards apply in order."""

from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from shared.contract.change import Change


class LogRange(NamedTuple):
    """The part of the log that is stored: every `seq` above `floor`, up to and including `head`."""

    head: int
    floor: int


class UnpublishedChange(Struct, frozen=True):
    """A change that is not published on Redis yet."""

    change: Change
    recorded_at: datetime


def is_contiguous(applied: int | None, log_range: LogRange, changes: list[Change]) -> bool:
    """Return whether `changes` lead from `applied` to the head of the log without a gap."""
    return applied is not None and [change.seq for change in changes] == list(range(applied + 1, log_range.head + 1))
