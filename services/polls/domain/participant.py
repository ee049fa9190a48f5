"""Who votes, as a poll knows it: a keyed hash, from which nobody without the key can find out who it was."""

import hashlib
import hmac
from uuid import UUID


class Participants:
    """`key` is 32 random bytes that the operator keeps; under another one everybody may vote once more."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hashed(self, poll_id: UUID, participant: str) -> bytes:
        """The same for each ballot of a participant in a poll, and another in every other poll."""
        return hmac.new(self._key, poll_id.bytes + participant.encode(), hashlib.sha256).digest()
