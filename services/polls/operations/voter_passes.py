"""Encrypt and decrypt voter passes, which browsers keep in cookies."""

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, Literal

import msgspec

from services.polls.domain.voter_pass import VoterPass
from shared.runtime.crypto.encryption import DecryptionError, Encrypted, Encryptor

Purpose = Literal["entry", "vote"]
"""What a pass is for: `entry` to get a pass to `vote`, right after a link was opened."""

_NONCE_BYTES: Final = 12
_DECODER: Final = msgspec.msgpack.Decoder(VoterPass)


class VoterPasses:
    """Encrypts and decrypts passes. Create one instance per process; `key` is the same for all processes."""

    def __init__(self, key: bytes) -> None:
        self._encryptor = Encryptor([key], "voter pass")

    def encrypt(self, voter_pass: VoterPass, purpose: Purpose) -> str:
        """Return the pass as the value of a cookie."""
        encrypted = self._encryptor.encrypt(msgspec.msgpack.encode(voter_pass), purpose)
        return urlsafe_b64encode(b"".join(encrypted)).decode().rstrip("=")

    def decrypt(self, text: str | None, purpose: Purpose) -> VoterPass | None:
        """Return the pass in a cookie; `None` if this service has not encrypted it for the purpose, or it is over."""
        try:
            data = urlsafe_b64decode((text or "") + "===")
            encrypted = Encrypted(data[:_NONCE_BYTES], data[_NONCE_BYTES:])
            voter_pass = _DECODER.decode(self._encryptor.decrypt(encrypted, purpose))
        except (ValueError, DecryptionError, msgspec.MsgspecError):
            return None
        is_over = voter_pass.expires_at_s is not None and voter_pass.expires_at_s <= time.time()
        return None if is_over else voter_pass
