"""The result of a verification of the audit log."""

from typing import Final, NamedTuple

from services.token_authority.domain.errors import InvalidValue
from shared.contract.audit import NO_HASH


class Head(NamedTuple):
    """The last record of a log at some time, by its `seq` and hash."""

    seq: int
    hash: str


EMPTY: Final = Head(0, NO_HASH)
"""The head of a log without records."""


class ChainReport(NamedTuple):
    """How many records follow one another unchanged, the last of them, and what breaks the chain after it, if anything.

    `has_earlier_head`: whether the log still has an earlier head; `None` if none was given.
    """

    records: int
    head: Head
    broken: str | None
    has_earlier_head: bool | None = None

    @property
    def is_intact(self) -> bool:
        """Whether neither the chain nor a comparison with an earlier head reveals tampering."""
        return self.broken is None and self.has_earlier_head is not False


def read_head(seq: int | None, hash_: str | None) -> Head | None:
    """Return the head with these fields; `None` without either. Raise `InvalidValue` if one is missing."""
    if seq is None and hash_ is None:
        return None
    if seq is None or hash_ is None:
        raise InvalidValue(("seq" if seq is None else "hash",), "a head has both seq and hash")
    return Head(seq, hash_)
