"""Authenticate messages by HMAC-SHA256 (RFC 2104), with a key per purpose, derived from an operator's secret."""

import hmac
from collections.abc import Sequence
from typing import Final

from shared.runtime.crypto.encryption import derive_key

TAG_BYTES: Final = 16


class Authenticator:
    """Makes tags with the first secret and verifies them with any of them, so that secrets can be rotated."""

    def __init__(self, secrets: Sequence[bytes], purpose: str) -> None:
        self._keys = [derive_key(secret, purpose) for secret in secrets]

    def tag(self, message: bytes) -> bytes:
        """Return the tag of a message, which cannot be made without the secret."""
        return _tag(self._keys[0], message)

    def is_valid(self, message: bytes, tag: bytes) -> bool:
        """Return whether the tag was made for this message with one of the secrets."""
        return any(hmac.compare_digest(_tag(key, message), tag) for key in self._keys)


def _tag(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")[:TAG_BYTES]
