"""Encrypt data at rest with AES-256-GCM, with a key per purpose that is derived from an operator's secret."""

import os
import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.runtime.process.environment import SettingsError

HOW_TO_MAKE_ONE: Final = (
    "32 random bytes in base64url, as from `pollgate secrets` or "
    "`python -c 'import secrets; print(secrets.token_urlsafe(32))'`"
)

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SECRET: Final = re.compile(r"[0-9A-Za-z_-]{43}=?")


class DecryptionError(Exception):
    """The data was changed, or encrypted with another secret, purpose or name."""


class Encrypted(NamedTuple):
    """Encrypted data."""

    nonce: bytes
    ciphertext: bytes


class Encryptor:
    """Encrypts with the first secret and decrypts with any of them, so that secrets can be rotated.

    The keys of different purposes are independent, although they are derived from the same secret.
    """

    def __init__(self, secrets: Sequence[bytes], purpose: str) -> None:
        self._purpose = purpose
        self._ciphers = [AESGCM(derive_key(secret, purpose)) for secret in secrets]

    def encrypt(self, plain: bytes, name: str) -> Encrypted:
        """Encrypt data so that it can be decrypted only under the same name.

        The nonce is random, so a secret may encrypt about 2^32 messages (NIST SP 800-38D §8.3).
        """
        nonce = os.urandom(_NONCE_BYTES)
        return Encrypted(nonce, self._ciphers[0].encrypt(nonce, plain, self._associated_data(name)))

    def decrypt(self, encrypted: Encrypted, name: str) -> bytes:
        """Return the data that was encrypted under this name. Raise `DecryptionError`."""
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(encrypted.nonce, encrypted.ciphertext, self._associated_data(name))
            except InvalidTag:
                continue
        raise DecryptionError(name)

    def _associated_data(self, name: str) -> bytes:
        return f"{self._purpose}\0{name}".encode()


def read_secrets(variable: str, text: str) -> tuple[bytes, ...]:
    """Return one or more secrets, separated by spaces or lines. Raise `SettingsError` with the variable's name."""
    words = text.split()
    if not words or not all(_SECRET.fullmatch(word) for word in words):
        raise SettingsError(f"{variable} is wrong: give {HOW_TO_MAKE_ONE}")
    return tuple(urlsafe_b64decode(word.rstrip("=") + "=") for word in words)


def read_secret(variable: str, text: str) -> bytes:
    """Return exactly one secret, which cannot be rotated. Raise `SettingsError` with the variable's name."""
    found = read_secrets(variable, text)
    if len(found) > 1:
        raise SettingsError(f"{variable} is wrong: give one secret, not {len(found)}")
    return found[0]


def derive_key(secret: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=purpose.encode()).derive(secret)
