"""Signing keys and metadata in responses."""

from base64 import urlsafe_b64encode
from datetime import datetime

from msgspec import Struct

from services.token_authority.domain.client_assertion import ASSERTION_ALGORITHMS
from services.token_authority.domain.signing_key import PublishedKey, State
from shared.contract.change import SIGNATURE_ALGORITHM
from shared.contract.sync import revocation_bound_s


class KeyPayload(Struct, frozen=True):
    """A public key as a JSON Web Key (RFC 8037 §2)."""

    kid: str
    x: str
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = SIGNATURE_ALGORITHM
    use: str = "sig"

    @classmethod
    def of(cls, kid: str, public_key: bytes) -> "KeyPayload":
        """Return the payload of a public key of 32 bytes."""
        return cls(kid=kid, x=urlsafe_b64encode(public_key).decode().rstrip("="))


class KeySet(Struct, frozen=True):
    """A JSON Web Key Set (RFC 7517 §5)."""

    keys: list[KeyPayload]


class SigningKeyPayload(Struct, frozen=True):
    """A signing key and its state. `published_until` is null while there is no newer key."""

    kid: str
    state: State
    created_at: datetime
    signs_from: datetime
    published_until: datetime | None

    @classmethod
    def of(cls, published: PublishedKey) -> "SigningKeyPayload":
        """Return the payload of a published key."""
        key = published.key
        return cls(key.kid, published.state, key.created_at, key.signs_from, published.published_until)


class SigningKeyPage(Struct, frozen=True):
    """Every published key, in the order in which they sign."""

    items: list[SigningKeyPayload]


class AuthorizationServerMetadata(Struct, frozen=True):
    """Metadata (RFC 8414 §2, RFC 9701 §7). `revocation_bound_ms` is how long a revocation waits at most for a guard
    that cannot be reached.
    """

    issuer: str
    introspection_endpoint: str
    revocation_endpoint: str
    jwks_uri: str
    revocation_bound_ms: int
    response_types_supported: tuple[str, ...] = ()
    grant_types_supported: tuple[str, ...] = ()
    introspection_endpoint_auth_methods_supported: tuple[str, ...] = (
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    )
    introspection_endpoint_auth_signing_alg_values_supported: tuple[str, ...] = ASSERTION_ALGORITHMS
    introspection_signing_alg_values_supported: tuple[str, ...] = (SIGNATURE_ALGORITHM,)
    revocation_endpoint_auth_methods_supported: tuple[str, ...] = ("none",)

    @classmethod
    def of(cls, issuer: str, lease_s: float) -> "AuthorizationServerMetadata":
        """Return the metadata of the authority with this issuer URL."""
        base = issuer.rstrip("/")
        return cls(
            issuer=issuer,
            introspection_endpoint=f"{base}/oauth2/introspect",
            revocation_endpoint=f"{base}/oauth2/revoke",
            jwks_uri=f"{base}/.well-known/jwks.json",
            revocation_bound_ms=round(revocation_bound_s(lease_s) * 1000),
        )
