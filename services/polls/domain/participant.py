"""Pseudonyms of participants: participants cannot be identified without the key."""

import hashlib
import hmac
from uuid import UUID


class Participants:
    """Hashes participants under `key`, 32 random bytes. Under another key, each participant could vote once more."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hash(self, poll_id: UUID, participant: str) -> bytes:
        """Return the hash of a participant in one poll; in another poll it differs."""
        return hmac.new(self._key, poll_id.bytes + participant.encode(), hashlib.sha256).digest()
