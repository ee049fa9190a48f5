"""The journal: the audit records that the authority also writes to a file beside its database.

A line is a record of the audit log as the export writes it, so `pollgate audit verify` reads both. The last record of
each reading of the log also says how far the change log was at that moment.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from services.token_authority.domain.audit_chain import EMPTY, Head
from shared.contract.audit import AuditRecord
from shared.contract.change import MAX_SEQ

MAX_LINE: Final = 4 * 1024 * 1024
"""Bytes of the longest line that is read; a record takes 300 to 1,000, and 200,000 at most."""


class JournalRecord(AuditRecord, frozen=True, kw_only=True, omit_defaults=True):
    """A record of the audit log in a journal or an export.

    `change_seq` is the head of the change log at a moment at which this was the last record of the audit log: every
    change up to it was made by this record or an earlier one. An export does not have it.
    """

    change_seq: Annotated[int, Meta(ge=0, le=MAX_SEQ)] | None = None

    @property
    def head(self) -> Head:
        """The `seq` and hash by which the record is known."""
        return Head(self.seq, self.hash)

    def compute_hash(self) -> str:
        """Return the `hash` of the audit record, which does not cover `change_seq`."""
        fields = {name: getattr(self, name) for name in AuditRecord.__struct_fields__}
        return AuditRecord(**fields).compute_hash()


def journal_record(record: AuditRecord) -> JournalRecord:
    """Return a record of the audit log for the journal."""
    return JournalRecord(**msgspec.structs.asdict(record))


def write_line(record: JournalRecord) -> bytes:
    """Return the record as a line."""
    return _ENCODER.encode(record) + b"\n"


def read_line(line: bytes) -> JournalRecord | None:
    """Return the record in a line; `None` if there is none, or its hash is wrong."""
    if len(line) > MAX_LINE:
        return None
    try:
        record = _DECODER.decode(line)
        return record if record.seq > 0 and record.hash == record.compute_hash() else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        return None


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(JournalRecord)


class Unreadable(Enum):
    """A line that is no record; `END` is a whole one at the end of a journal, so that a record may be missing there."""

    LINE = "line"
    END = "end"


class MergedJournals(NamedTuple):
    """The records of several journals, each once and in order, and the number of lines that are no record.

    `read` is the number of records, with those that were left out. `has_unreadable_end`: one of the journals ends with
    a whole line that is none.
    """

    records: tuple[JournalRecord, ...]
    unreadable: int
    read: int = 0
    has_unreadable_end: bool = False

    @property
    def head(self) -> Head:
        """The newest record."""
        return self.records[-1].head if self.records else EMPTY

    @property
    def change_seq(self) -> int:
        """The last change that these records explain, 0 if they explain none."""
        return max((record.change_seq or 0 for record in self.records), default=0)


def select_farthest(records: Iterable[JournalRecord]) -> list[JournalRecord]:
    """Return the newest of these records, and the one that explains the last change; nothing if there are none."""
    found = list(records)
    newest = max(found, key=lambda record: (record.at, record.seq), default=None)
    explaining = max(found, key=lambda record: record.change_seq or 0, default=None)
    return [record for record in (newest, explaining) if record is not None]


def merge(lines: Iterable[JournalRecord | Unreadable], left_out: int = 0) -> MergedJournals:
    """Return the records of several journals as one; `left_out` is the number of those that are not among `lines`.

    Each comes after those before it in its log, also if the clock was set back meanwhile. Records of logs that went
    different ways after a restore are ordered by time.
    """
    found: dict[Head, JournalRecord] = {}
    unreadable: list[Unreadable] = []
    for record in lines:
        if isinstance(record, Unreadable):
            unreadable.append(record)
            continue
        known = found.get(record.head)
        if known is None or (known.change_seq or 0) < (record.change_seq or 0):
            found[record.head] = record
    times: dict[Head, datetime] = {}
    for record in sorted(found.values(), key=lambda record: record.seq):
        before = Head(record.seq - 1, record.previous)
        times[record.head] = max(record.at, times.get(before, record.at))
    ordered = sorted(found.values(), key=lambda record: (times[record.head], record.seq))
    return MergedJournals(tuple(ordered), len(unreadable), len(ordered) + left_out, Unreadable.END in unreadable)
