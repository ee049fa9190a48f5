"""Check the public key of a service before it is stored."""

from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.token_authority.domain.errors import InvalidValue
from shared.runtime.crypto.jwt_keys import FIT_KEYS, UnfitKey, read_public_key

MAX_KEY_LENGTH: Final = 4096


def validate_public_key(pem: str | None) -> str | None:
    """Return the public key alone, as PEM. Raise `InvalidValue`, which does not contain `pem`."""
    if pem is None:
        return None
    if "PRIVATE KEY" in pem:
        raise InvalidValue(
            ("public_key",),
            "this is a private key, which is no longer secret: create another key pair, and send its public key only",
        )
    try:
        key = read_public_key(pem if len(pem) <= MAX_KEY_LENGTH else "")
    except UnfitKey:
        raise InvalidValue(
            ("public_key",), f"must be a public key as PEM, beginning with '-----BEGIN PUBLIC KEY-----': {FIT_KEYS}"
        ) from None
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().strip()
