"""Sessions of token holders on the pages to manage polls."""

from datetime import datetime

from msgspec import Struct


class StoredSession(Struct, frozen=True):
    """A session as it is stored: `ciphertext` is its token, encrypted with this `nonce`."""

    nonce: bytes
    ciphertext: bytes
    created_at: datetime
    last_seen_at: datetime
