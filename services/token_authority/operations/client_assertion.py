"""Read and verify the client assertion of a service (RFC 7523 §3), except whether it was used before.

The claims are checked first, because that is cheap. The signature is verified with the algorithms of the service's key
only. If the service is unknown or has no such key, a decoy key is used, so that the check takes as long.
"""

import re
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from jwt import PyJWS
from jwt.exceptions import PyJWTError
from msgspec import UNSET, Struct, UnsetType

from services.token_authority.domain.client_assertion import (
    ASSERTION_ALGORITHMS,
    LEEWAY_S,
    MAX_ASSERTION_LENGTH,
    MAX_JTI_LENGTH,
    MAX_LIFETIME_S,
)
from services.token_authority.domain.errors import InvalidAssertion
from services.token_authority.domain.service import is_client_id
from shared.runtime.crypto.jwt_keys import PublicKey, UnfitKey, algorithms_of, read_public_key

_TYPES: Final = (None, "jwt", "client-authentication+jwt")
_COMPACT: Final = re.compile(r"([0-9A-Za-z_-]+)\.([0-9A-Za-z_-]+)\.[0-9A-Za-z_-]+")


class Assertion(NamedTuple):
    """The claims of an assertion, not verified yet. After `ends_at` it is refused as expired."""

    text: str
    algorithm: str
    client_id: str
    jti: str
    ends_at: datetime


class _Header(Struct):
    alg: str
    typ: str | None = None
    crit: UnsetType | msgspec.Raw = UNSET
    b64: UnsetType | msgspec.Raw = UNSET


class _Claims(Struct):
    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    iat: float
    jti: str
    nbf: float | None = None


def read_assertion(text: str, audiences: AbstractSet[str], now: datetime) -> Assertion:
    """Return the claims of an assertion. Raise `InvalidAssertion` for errors that need no key to be found."""
    parts = _COMPACT.fullmatch(text) if len(text) <= MAX_ASSERTION_LENGTH else None
    if parts is None:
        raise InvalidAssertion(f"it must be a signed JWT of up to {MAX_ASSERTION_LENGTH} characters")
    header, claims = _decode(parts[1], _Header), _decode(parts[2], _Claims)
    if header.alg not in ASSERTION_ALGORITHMS:
        raise InvalidAssertion(f"its 'alg' must be one of {', '.join(ASSERTION_ALGORITHMS)}")
    if header.crit is not UNSET or header.b64 is not UNSET or (header.typ and header.typ.lower()) not in _TYPES:
        raise InvalidAssertion("its header must have no 'crit' or 'b64', and no 'typ' other than JWT")
    _check(claims, audiences, now.timestamp())
    ends_at = datetime.fromtimestamp(claims.exp, UTC) + timedelta(seconds=LEEWAY_S)
    return Assertion(text, header.alg, claims.sub, claims.jti, ends_at)


class SignatureCheck:
    """Verifies client assertions. Create one instance per process."""

    def __init__(self) -> None:
        self._jws = PyJWS()
        self._decoy_keys = _create_decoy_keys()

    def is_valid(self, assertion: Assertion, pem: str | None) -> bool:
        """Return whether the assertion is signed with the key in this PEM."""
        key = _read_key(pem)
        fits = key is not None and assertion.algorithm in algorithms_of(key)
        used = key if key is not None and fits else self._decoy_keys[assertion.algorithm]
        try:
            self._jws.decode(assertion.text, used, [assertion.algorithm])
        except PyJWTError:
            return False
        return fits


def _decode(encoded: str, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)), type=kind)
    except (ValueError, RecursionError):
        raise InvalidAssertion("it must have 'alg', and the claims iss, sub, aud, exp, iat and jti") from None


def _check(claims: _Claims, audiences: AbstractSet[str], now_s: float) -> None:
    if claims.iss != claims.sub or not is_client_id(claims.sub):
        raise InvalidAssertion("its 'iss' and 'sub' must both be the client id")
    if audiences.isdisjoint([claims.aud] if isinstance(claims.aud, str) else claims.aud):
        raise InvalidAssertion(f"its 'aud' must be {' or '.join(sorted(audiences))}")
    if not 1 <= len(claims.jti) <= MAX_JTI_LENGTH:
        raise InvalidAssertion(f"its 'jti' must have 1 to {MAX_JTI_LENGTH} characters")
    if not claims.exp > now_s - LEEWAY_S:
        raise InvalidAssertion("it has expired")
    if not claims.exp <= now_s + MAX_LIFETIME_S + LEEWAY_S:
        raise InvalidAssertion(f"its 'exp' must be at most {MAX_LIFETIME_S} seconds in the future")
    if not max(claims.iat, claims.nbf or 0) <= now_s + LEEWAY_S:
        raise InvalidAssertion("its 'iat' or 'nbf' is in the future")


def _read_key(pem: str | None) -> PublicKey | None:
    try:
        return None if pem is None else read_public_key(pem)
    except UnfitKey:  # an earlier release stored public keys without checking them
        return None


def _create_decoy_keys() -> Mapping[str, PublicKey]:
    """Return a key for each algorithm. For RSA no private key exists at all."""
    modulus = secrets.randbits(2048) | 1 << 2047 | 1
    keys = (
        Ed25519PrivateKey.generate().public_key(),
        generate_private_key(SECP256R1()).public_key(),
        RSAPublicNumbers(65537, modulus).public_key(),
    )
    return {algorithm: key for key in keys for algorithm in algorithms_of(key)}
