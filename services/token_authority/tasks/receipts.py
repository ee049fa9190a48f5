"""Receipts of changes: a guard that sends one back proves that the change was in the log, and cannot make one up."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from services.token_authority.domain.change_log import AppliedChange, LoggedChange
from shared.contract.change import Change
from shared.runtime.crypto.authentication import Authenticator

PURPOSE: Final = "pollgate token authority: receipts of changes"
_ID_LENGTH: Final = 32


class Receipts:
    """Makes and verifies receipts. Create one instance per process.

    A receipt is the id of the row in hex and a tag in base64url over number, digest and id.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._authenticator = Authenticator(secrets, PURPOSE)

    def with_receipt(self, change: LoggedChange) -> Change:
        """Return the change as guards receive it."""
        tag = self._authenticator.tag(_message(change.seq, change.digest, change.id))
        receipt = change.id.hex + urlsafe_b64encode(tag).decode().rstrip("=")
        return Change(change.seq, change.digest, receipt=receipt)

    def verify(self, change: Change) -> AppliedChange | None:
        """Return what the receipt proves; `None` if it is missing, or was not made for this change."""
        try:
            change_id = UUID(hex=change.receipt[:_ID_LENGTH])
            tag = urlsafe_b64decode(change.receipt[_ID_LENGTH:] + "==")
        except ValueError:
            return None
        is_valid = self._authenticator.is_valid(_message(change.seq, change.digest, change_id), tag)
        return AppliedChange(change.seq, change_id) if is_valid else None


def _message(seq: int, digest: str, change_id: UUID) -> bytes:
    return f"{seq} {digest} {change_id.hex}".encode()
