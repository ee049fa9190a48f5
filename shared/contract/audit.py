"""Records of an audit log, as services store and export them, and the hash chain that reveals tampering.

The `hash` of a record is the SHA-256, in hex, of the record as JSON without `hash`: its fields in the order below, no
spaces, the keys of nested objects sorted. `previous` is the hash of the preceding record, and 64 zeros in the first
record. An auditor who keeps the hash of one record can detect whether any record up to it has been changed, added or
removed since.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

NO_HASH: Final = "0" * 64
"""The `previous` of the first record."""


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One action: `actor` and `actor_id` did `action` to `subject`.

    `subject` is a kind and an id, such as `token:tok_…`. `before` and `after` hold the fields that the action changed.
    `seq` counts from 1 without gaps.
    """

    seq: int
    at: datetime
    actor: str
    actor_id: str | None
    address: str | None
    request_id: str | None
    action: str
    subject: str
    before: dict[str, Any]
    after: dict[str, Any]
    previous: str
    hash: str = ""

    def compute_hash(self) -> str:
        """Return the `hash` that the record must have if it has not been tampered with."""
        fields = msgspec.structs.asdict(self)
        del fields["hash"]
        for name in ("before", "after"):
            fields[name] = msgspec.Raw(msgspec.json.encode(fields[name], order="sorted"))
        return hashlib.sha256(msgspec.json.encode(fields)).hexdigest()

    def with_hash(self) -> "AuditRecord":
        """Return the record with its hash."""
        return msgspec.structs.replace(self, hash=self.compute_hash())


def column_values(record: AuditRecord) -> tuple[object, ...]:
    """Return the fields of the record in their order, as they are stored; `before` and `after` as texts of JSON."""
    fields = msgspec.structs.asdict(record)
    for name in ("before", "after"):
        fields[name] = msgspec.json.encode(fields[name], order="sorted").decode()
    return tuple(fields.values())


def read_columns(row: Mapping[str, Any]) -> AuditRecord:
    """Return the record that `column_values` has stored."""
    fields = dict(row)
    for name in ("before", "after"):
        fields[name] = msgspec.json.decode(fields[name])
    return AuditRecord(**fields)


class BrokenChain(Exception):
    """The log has been tampered with, or a part of it is missing; the message says where."""


class ChainCheck:
    """Check a log record by record, in order. `head` is the `seq` and `hash` of the last checked record."""

    def __init__(self, seq: int = 0, hash_: str = NO_HASH) -> None:
        self.head = (seq, hash_)

    def check(self, records: Iterable[AuditRecord]) -> None:
        """Raise `BrokenChain` for the first record that does not follow its predecessor or has been changed."""
        for record in records:
            seq, hash_ = self.head
            if record.seq != seq + 1:
                raise BrokenChain(f"record {seq + 1} is missing: the next one is {record.seq}")
            if record.previous != hash_:
                raise BrokenChain(f"record {record.seq} does not follow the one before: that one has been changed")
            if record.hash != record.compute_hash():
                raise BrokenChain(f"record {record.seq} has been changed")
            self.head = (record.seq, record.hash)
