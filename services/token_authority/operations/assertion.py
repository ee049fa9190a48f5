"""A JWT by which a service shows who it is (RFC 7523 §3): read and checked, but for whether it has been used before.

What an assertion says of itself is checked first, which costs nothing. Its signature is verified by the algorithms of
the service's key alone; where there is no such service or key, by a key that nobody has, so that it takes as long.
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

from services.token_authority.domain.service import is_client_id
from shared.contract.client_assertion import ASSERTION_ALGORITHMS, LEEWAY_S, MAX_ASSERTION_LENGTH, MAX_LIFETIME_S
from shared.runtime.crypto.jwt_keys import PublicKey, UnfitKey, algorithms_of, read_public_key

MAX_JTI_LENGTH: Final = 256
_TYPES: Final = (None, "jwt", "client-authentication+jwt")
_COMPACT: Final = re.compile(r"([0-9A-Za-z_-]+)\.([0-9A-Za-z_-]+)\.[0-9A-Za-z_-]+")


class UnfitAssertion(Exception):
    """It cannot be good, whoever has signed it; the message says what is wrong with it."""


class Assertion(NamedTuple):
    """What an assertion says, of which nothing is proven. After `ends_at` it is refused for its age."""

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
    """What it says. Raises `UnfitAssertion` for what is wrong before any key is looked at."""
    parts = _COMPACT.fullmatch(text) if len(text) <= MAX_ASSERTION_LENGTH else None
    if parts is None:
        raise UnfitAssertion(f"it is no signed JWT of up to {MAX_ASSERTION_LENGTH} characters")
    header, claims = _part(parts[1], _Header), _part(parts[2], _Claims)
    if header.alg not in ASSERTION_ALGORITHMS:
        raise UnfitAssertion(f"it is signed by none of {', '.join(ASSERTION_ALGORITHMS)}")
    if header.crit is not UNSET or header.b64 is not UNSET or (header.typ and header.typ.lower()) not in _TYPES:
        raise UnfitAssertion("its header asks for what is not known here")
    _check(claims, audiences, now.timestamp())
    ends_at = datetime.fromtimestamp(claims.exp, UTC) + timedelta(seconds=LEEWAY_S)
    return Assertion(text, header.alg, claims.sub, claims.jti, ends_at)


class SignatureCheck:
    """One a process."""

    def __init__(self) -> None:
        self._jws = PyJWS()
        self._nobodys_keys = _nobodys_keys()

    def holds(self, assertion: Assertion, pem: str | None) -> bool:
        """Whether the key of this PEM has signed the assertion."""
        key = _key(pem)
        fits = key is not None and assertion.algorithm in algorithms_of(key)
        used = key if key is not None and fits else self._nobodys_keys[assertion.algorithm]
        try:
            self._jws.decode(assertion.text, used, [assertion.algorithm])
        except PyJWTError:
            return False
        return fits


def _part(encoded: str, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)), type=kind)
    except (ValueError, RecursionError):
        raise UnfitAssertion("it needs 'alg', and the claims iss, sub, aud, exp, iat and jti") from None


def _check(claims: _Claims, audiences: AbstractSet[str], now_s: float) -> None:
    if claims.iss != claims.sub or not is_client_id(claims.sub):
        raise UnfitAssertion("its 'iss' and 'sub' are to be the client id, both")
    if audiences.isdisjoint([claims.aud] if isinstance(claims.aud, str) else claims.aud):
        raise UnfitAssertion(f"its 'aud' is to be {' or '.join(sorted(audiences))}")
    if not 1 <= len(claims.jti) <= MAX_JTI_LENGTH:
        raise UnfitAssertion(f"its 'jti' is to have 1 to {MAX_JTI_LENGTH} characters")
    if not claims.exp > now_s - LEEWAY_S:
        raise UnfitAssertion("it has expired")
    if not claims.exp <= now_s + MAX_LIFETIME_S + LEEWAY_S:
        raise UnfitAssertion(f"its 'exp' is to be at most {MAX_LIFETIME_S} seconds ahead")
    if not max(claims.iat, claims.nbf or 0) <= now_s + LEEWAY_S:
        raise UnfitAssertion("its 'iat' or 'nbf' is in the future")


def _key(pem: str | None) -> PublicKey | None:
    try:
        return None if pem is None else read_public_key(pem)
    except UnfitKey:  # kept by a release that did not look
        return None


def _nobodys_keys() -> Mapping[str, PublicKey]:
    """A key for each algorithm. Of that for RSA there is no other half at all."""
    modulus = secrets.randbits(2048) | 1 << 2047 | 1
    keys = (
        Ed25519PrivateKey.generate().public_key(),
        generate_private_key(SECP256R1()).public_key(),
        RSAPublicNumbers(65537, modulus).public_key(),
    )
    return {algorithm: key for key in keys for algorithm in algorithms_of(key)}
