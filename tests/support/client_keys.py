"""Key pairs of services, and client assertions (RFC 7523) that are signed with them."""

import secrets
import time
from typing import Any, Final, Literal, get_args

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from services.token_authority.domain.client_assertion import ASSERTION_TYPE
from tests.support.stack import Authority

ISSUER: Final = "http://127.0.0.1:8081"
INTROSPECT: Final = f"{ISSUER}/oauth2/introspect"

Kind = Literal["Ed25519", "P-256", "RSA"]
KEY_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_ALGORITHMS: Final[dict[Kind, str]] = {"Ed25519": "EdDSA", "P-256": "ES256", "RSA": "RS256"}


class ClientKey:
    """A key pair."""

    def __init__(self, kind: Kind = "Ed25519") -> None:
        self.private = _generate(kind)
        self.algorithm = _ALGORITHMS[kind]

    @property
    def public_pem(self) -> str:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def private_pem(self) -> str:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def sign(self, *, algorithm: str | None = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a valid assertion of `reports`, except for the given claims; `None` leaves one out."""
        now = int(time.time())
        good = {"iss": "reports", "sub": "reports", "aud": ISSUER, "iat": now, "exp": now + 60}
        whole = {**good, "jti": secrets.token_hex(8), **claims}
        shown = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(shown, self.private, algorithm or self.algorithm, headers)


def assertion_form(assertion: str, token: str = "x") -> dict[str, str]:
    """Return the form of an introspection that is authenticated by a client assertion."""
    return {"token": token, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


async def create_service_with_key(
    authority: Authority, key: ClientKey, client_id: str = "reports", **fields: Any
) -> None:
    """Create a service that authenticates with this key."""
    body = {"client_id": client_id, "public_key": key.public_pem, **fields}
    answer = await authority.manage("POST", "/v1/services", body)
    assert answer.status == 201, answer.body


def _generate(kind: Kind) -> ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1()) if kind == "P-256" else rsa.generate_private_key(65537, 2048)
