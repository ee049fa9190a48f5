"""Verify an audit log: its chain of hashes, and a head that was printed earlier."""

import re
from typing import Final, NamedTuple

import msgspec

from pollgate.cli.errors import CliError, UsageError
from pollgate.client import AuditReport
from shared.contract.audit import NO_HASH, AuditRecord, BrokenChain, ChainCheck

_AUDIT_LOG: Final = "audit log"
_HEAD: Final = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


class Head(NamedTuple):
    """The last record of a log, by its `seq` and `hash`."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


def read_head(text: str, option: str = "--head") -> Head:
    """Return the head that is written as SEQ:HASH in an option. Raise `UsageError`."""
    match = _HEAD.fullmatch(text)
    if match is None:
        raise UsageError(f"{option} takes SEQ:HASH, as `pollgate audit verify` printed it")
    return Head(int(match[1]), match[2])


class AuditVerification:
    """Verifies the lines of a log in order. `earlier` is its head at an earlier time, `name` what messages call it."""

    def __init__(self, earlier: Head | None = None, name: str = _AUDIT_LOG) -> None:
        self._chain = ChainCheck()
        self._earlier = earlier
        self._name = name
        self._compare(Head(0, NO_HASH))

    @property
    def head(self) -> Head:
        """The last record that was verified."""
        return Head(*self._chain.head)

    def verify(self, line: bytes) -> None:
        """Verify the next line. Raise `CliError` for a record that does not continue the chain, or was changed."""
        try:
            record = msgspec.json.decode(line, type=AuditRecord)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise CliError(f"the line after record {self.head.seq} is not an audit record") from None
        self.verify_record(record)

    def verify_record(self, record: AuditRecord) -> None:
        """Verify the next record. Raise `CliError` if it does not continue the chain, or was changed."""
        try:
            self._chain.check([record])
        except BrokenChain as error:
            raise _not_intact(self._name, str(error)) from None
        self._compare(self.head)

    def finish(self) -> None:
        """Raise `CliError` if the log ends before the earlier head."""
        if self._earlier is not None and self.head.seq < self._earlier.seq:
            raise _truncated(self._name, self.head, self._earlier)

    def _compare(self, head: Head) -> None:
        if self._earlier is not None and head.seq == self._earlier.seq and head != self._earlier:
            raise _rewritten(self._name, head)


def require_intact(report: AuditReport, earlier: Head | None) -> Head:
    """Return the head of a log that the token authority has verified. Raise `CliError` unless it is intact."""
    head = Head(report.head.seq, report.head.hash)
    if report.broken is not None:
        raise _not_intact(_AUDIT_LOG, report.broken)
    if earlier is not None and not report.has_earlier_head:
        raise _truncated(_AUDIT_LOG, head, earlier) if head.seq < earlier.seq else _rewritten(_AUDIT_LOG, earlier)
    return head


def _not_intact(name: str, reason: str) -> CliError:
    return CliError(f"the {name} is not intact: {reason}")


def _truncated(name: str, head: Head, earlier: Head) -> CliError:
    return CliError(
        f"the {name} was truncated: it ends with record {head.seq}, but record {earlier.seq} existed before"
    )


def _rewritten(name: str, head: Head) -> CliError:
    return CliError(f"the {name} was rewritten: record {head.seq} is not the one of the earlier head")
