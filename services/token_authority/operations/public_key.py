"""The public key by which a service shows who it is, checked before it is kept."""

from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.token_authority.domain.errors import InvalidValue
from shared.runtime.crypto.jwt_keys import FIT_KEYS, UnfitKey, read_public_key

MAX_KEY_LENGTH: Final = 4096


def checked_public_key(pem: str) -> str:
    """The key alone, in PEM. Raises `InvalidValue`, which says nothing of what was given."""
    if "PRIVATE KEY" in pem:
        raise InvalidValue(
            ("public_key",),
            "this is a private key, and has been seen by others now: make another pair, and give its public key alone",
        )
    try:
        key = read_public_key(pem if len(pem) <= MAX_KEY_LENGTH else "")
    except UnfitKey:
        raise InvalidValue(
            ("public_key",), f"a public key as PEM, beginning with '-----BEGIN PUBLIC KEY-----': {FIT_KEYS}"
        ) from None
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().strip()
