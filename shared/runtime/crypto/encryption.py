"""Encryption at rest: AES-256-GCM under keys that are derived from secrets of the operator's, for one purpose each."""

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
    "32 random bytes in base64url, as `pollgate secrets` or "
    "`python -c 'import secrets; print(secrets.token_urlsafe(32))'` makes them"
)

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SECRET: Final = re.compile(r"[0-9A-Za-z_-]{43}=?")


class DecryptionError(Exception):
    """It was encrypted with another secret, for another purpose or under another name, or has been changed since."""


class Encrypted(NamedTuple):
    """What may be kept where others can read it."""

    nonce: bytes
    ciphertext: bytes


class Encryptor:
    """Encrypts with the first of the secrets and opens with each, so that one can take another's place.

    Keys of different purposes, made from the same secret, tell nothing of each other.
    """

    def __init__(self, secrets: Sequence[bytes], purpose: str) -> None:
        self._purpose = purpose
        self._ciphers = [AESGCM(_derived_key(secret, purpose)) for secret in secrets]

    def encrypt(self, plain: bytes, name: str) -> Encrypted:
        """Encrypt so that only who asks for this name opens it; the nonce is random, for some 2^32 things a secret."""
        nonce = os.urandom(_NONCE_BYTES)
        return Encrypted(nonce, self._ciphers[0].encrypt(nonce, plain, self._bound_to(name)))

    def decrypt(self, encrypted: Encrypted, name: str) -> bytes:
        """What was encrypted under this name. Raises `DecryptionError`."""
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(encrypted.nonce, encrypted.ciphertext, self._bound_to(name))
            except InvalidTag:
                continue
        raise DecryptionError(name)

    def _bound_to(self, name: str) -> bytes:
        return f"{self._purpose}\0{name}".encode()


def read_secrets(variable: str, text: str) -> tuple[bytes, ...]:
    """One secret or more, separated by spaces or lines. Raises `SettingsError`, that names the variable."""
    words = text.split()
    if not words or not all(_SECRET.fullmatch(word) for word in words):
        raise SettingsError(f"{variable} is wrong: give {HOW_TO_MAKE_ONE}")
    return tuple(urlsafe_b64decode(word.rstrip("=") + "=") for word in words)


def read_secret(variable: str, text: str) -> bytes:
    """One secret and no more, where another cannot take its place. Raises `SettingsError`, that names the variable."""
    found = read_secrets(variable, text)
    if len(found) > 1:
        raise SettingsError(f"{variable} is wrong: give one secret alone, not {len(found)}")
    return found[0]


def _derived_key(secret: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=purpose.encode()).derive(secret)
