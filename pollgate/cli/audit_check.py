"""Checks an exported audit log line by line: that its chain is whole, and goes on from where it was seen before."""

import re
from typing import Final, NamedTuple

import msgspec

from pollgate.cli.errors import CliError
from shared.contract.audit import NO_HASH, AuditRecord, BrokenChain, ChainCheck

_HEAD: Final = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


class Head(NamedTuple):
    """The last record of a log, by which to tell later whether it is still there as it was."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


def read_head(text: str) -> Head:
    """What is written as SEQ:HASH. Raises `CliError`."""
    match = _HEAD.fullmatch(text)
    if match is None:
        raise CliError("--head takes SEQ:HASH, as an earlier `pollgate audit verify` has printed it")
    return Head(int(match[1]), match[2])


class LogCheck:
    """Goes through the lines of a log in order. `earlier` is its head of an earlier time."""

    def __init__(self, earlier: Head | None = None) -> None:
        self._chain = ChainCheck()
        self._earlier = earlier
        self._check_earlier(Head(0, NO_HASH))

    @property
    def head(self) -> Head:
        """The last record so far."""
        return Head(*self._chain.head)

    def check(self, line: bytes) -> None:
        """Raises `CliError` for a line that does not follow, or is not what it was."""
        try:
            record = msgspec.json.decode(line, type=AuditRecord)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise CliError(f"what follows record {self.head.seq} is not a record of an audit log") from None
        try:
            self._chain.check([record])
        except BrokenChain as error:
            raise CliError(f"the audit log is not whole: {error}") from None
        self._check_earlier(self.head)

    def finish(self) -> None:
        """Raises `CliError` where the log ends before where it ended earlier."""
        if self._earlier is not None and self.head.seq < self._earlier.seq:
            raise CliError(
                f"the audit log has been cut off: it ends with record {self.head.seq}, "
                f"and record {self._earlier.seq} was there before"
            )

    def _check_earlier(self, head: Head) -> None:
        if self._earlier is not None and head.seq == self._earlier.seq and head != self._earlier:
            raise CliError(f"the audit log has been rewritten: record {head.seq} is not the one that was there before")
