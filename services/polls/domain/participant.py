"""Participants: how their ids compare, and the pseudonyms under which their ballots are stored."""

import hashlib
import hmac
import unicodedata
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from shared.runtime.text.characters import InvalidText, find_control, has_outer_blank, name_of, normalize

MAX_PARTICIPANT_LENGTH: Final = 255
MAX_NAME_LENGTH: Final = 255
MAX_SENT_LENGTH: Final = 4 * MAX_PARTICIPANT_LENGTH
"""The limit before an id is converted to NFC, which is seldom longer and often shorter."""


def read_participant(text: str) -> str:
    """Return a participant's id in NFC, in which ids that look alike are equal. Raise `InvalidText`.

    A blank around the id is refused, not removed: the calling integration would not recognize the id in a response.
    """
    control = find_control(text)
    if control:
        raise InvalidText(f"contains the control character {name_of(control)}; remove it")
    if has_outer_blank(text):
        raise InvalidText("begins or ends with a blank; remove it")
    participant = normalize(text[: MAX_SENT_LENGTH + 1])
    if not 1 <= len(participant) <= MAX_PARTICIPANT_LENGTH:
        raise InvalidText(f"has {len(participant)} characters; expected 1 to {MAX_PARTICIPANT_LENGTH}")
    return participant


class Participants:
    """Hashes participants under `key`, 32 random bytes. Under another key, each participant could vote once more."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hashes(self, poll_id: UUID, participant: str) -> Sequence[bytes]:
        """Return the hash of a participant in one poll, in another poll it differs, and the one of the id in NFD.

        Ids were once hashed as they were sent. A ballot from then is found by its hash if the id was in NFC or NFD.
        """
        decomposed = participant if participant.isascii() else unicodedata.normalize("NFD", participant)
        forms = dict.fromkeys((participant, decomposed))
        return [hmac.new(self._key, poll_id.bytes + form.encode(), hashlib.sha256).digest() for form in forms]

    def link_hash(self, poll_id: UUID, participant: str) -> bytes:
        """Return the hash by which a personal link is found. Without the key, nothing relates it to a ballot's."""
        return hmac.digest(self._key, b"personal link\0" + poll_id.bytes + participant.encode(), hashlib.sha256)

    def address_hashes(self, link_id: UUID, network: str, participant: str) -> tuple[bytes, bytes]:
        """Return a hash of an address, and one of a participant there, for the limit of a shared link by address."""
        at = b"address\0" + link_id.bytes + network.encode()
        return (
            hmac.digest(self._key, at, hashlib.sha256),
            hmac.digest(self._key, at + b"\0" + participant.encode(), hashlib.sha256),
        )
