"""Validate ID tokens (OpenID Connect Core §3.1.3.7)."""

import hmac
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import jwt
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from services.token_authority.domain.errors import SignInRefused
from shared.runtime.crypto.jwt_keys import PublicKey
from shared.runtime.text.characters import InvalidText, fit_line

LEEWAY_S: Final = 30
MAX_SUB_LENGTH: Final = 255
_REQUIRED: Final = ("iss", "sub", "aud", "exp", "iat", "nonce")
_REASONS: Final[Mapping[type[PyJWTError], str]] = {
    ExpiredSignatureError: "it has expired",
    ImmatureSignatureError: "it is not valid yet, so the clock of this authority or of the provider is wrong",
    InvalidAudienceError: "its audience is another",
    InvalidIssuerError: "its issuer is another",
    InvalidSignatureError: "its signature is wrong",
}


class Expected(NamedTuple):
    """What an ID token has to have."""

    issuer: str
    client_id: str
    nonce: str


class Signature(NamedTuple):
    """The algorithm and the key that an ID token says it was signed with."""

    algorithm: str
    kid: str | None


def read_signature(token: str) -> Signature:
    """Return the algorithm and key in the header, not verified yet. Raise `SignInRefused`."""
    try:
        header = jwt.get_unverified_header(token)
    except PyJWTError:
        raise invalid("it cannot be read") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        raise invalid("its algorithm is not accepted")
    return Signature(algorithm, kid)


def verify(token: str, key: PublicKey, algorithm: str, expected: Expected) -> dict[str, Any]:
    """Return the claims of a valid ID token. `algorithm` is one that the key allows. Raise `SignInRefused`."""
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=expected.client_id,
            issuer=expected.issuer,
            leeway=LEEWAY_S,
            options={"require": list(_REQUIRED)},
        )
    except MissingRequiredClaimError as error:
        raise invalid(f"its claim '{error.claim}' is missing") from None
    except PyJWTError as error:
        reason = next((reason for kind, reason in _REASONS.items() if isinstance(error, kind)), "it cannot be read")
        raise invalid(reason) from None
    _require_authorized_party(claims, expected.client_id)
    nonce = claims["nonce"]
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(errors="replace"), expected.nonce.encode()):
        raise invalid("it belongs to another sign-in, because its nonce is another")
    _require_stable_subject(claims["sub"])
    return claims


def invalid(reason: str) -> SignInRefused:
    """Return the error for an ID token that is not valid for this reason."""
    return SignInRefused(f"the ID token is not valid: {reason}")


def _require_authorized_party(claims: Mapping[str, Any], client_id: str) -> None:
    audiences, party = claims["aud"], claims.get("azp")
    if party is None and isinstance(audiences, list) and len(audiences) > 1:
        raise invalid("it has several audiences and no authorized party")
    if party is not None and party != client_id:
        raise invalid("its authorized party is another")


def _require_stable_subject(sub: str) -> None:
    """Raise `SignInRefused` unless the `sub` can be stored as it is: the audit log has it."""
    try:
        is_storable = fit_line(sub, MAX_SUB_LENGTH) == sub
    except InvalidText:
        is_storable = False
    if not is_storable:
        raise invalid(f"its 'sub' has to be one line of 1 to {MAX_SUB_LENGTH} characters without control characters")
