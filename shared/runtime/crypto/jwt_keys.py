"""Read keys for JWTs and choose their algorithms: the type of the key decides, never the header of a JWT."""

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey

FIT_KEYS: Final = "Ed25519, P-256, or RSA of 2048 to 4096 bits with the exponent 65537"


class UnfitKey(ValueError):
    """The key is malformed, or none of `FIT_KEYS`. The message repeats nothing of it."""


def read_public_key(pem: str) -> PublicKey:
    """Return the public key in a PEM. Raise `UnfitKey`."""
    try:
        key = load_pem_public_key(pem.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm):
        raise UnfitKey("it is not a public key in PEM") from None
    if not isinstance(key, PublicKey):
        raise UnfitKey("its algorithm is not supported")
    algorithms_of(key)
    return key


def read_private_key(pem: str) -> PrivateKey:
    """Return the private key in an unencrypted PEM. Raise `UnfitKey`."""
    try:
        key = load_pem_private_key(pem.encode("ascii"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnfitKey("it is not a private key in PEM, or it is encrypted") from None
    if not isinstance(key, PrivateKey):
        raise UnfitKey("its algorithm is not supported")
    algorithms_of(key.public_key())
    return key


def algorithms_of(key: PublicKey) -> tuple[str, ...]:
    """Return the algorithms of this key (RFC 7518 §3, RFC 8037 §3), the preferred one first. Raise `UnfitKey`."""
    if isinstance(key, Ed25519PublicKey):
        return ("EdDSA",)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return ("ES256",)
    # Verifying with a large key or exponent would take too much processor time.
    if isinstance(key, RSAPublicKey) and 2048 <= key.key_size <= 4096 and key.public_numbers().e == 65537:
        return ("PS256", "RS256")
    raise UnfitKey("its curve, size or exponent is not supported")
