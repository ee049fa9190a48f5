"""The JSON of the authority's API, as Structs that validate and encode."""

from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from services.token_authority.domain.selection import Selection, selection
from services.token_authority.domain.site import Site
from services.token_authority.domain.token import IssuedToken, Status, Token, TokenRequest
from services.token_authority.operations.confirmations import Effect
from services.token_authority.operations.revoke import BulkRevocation, Revocation
from shared.contract.change import SIGNATURE_ALGORITHM
from shared.contract.sync import revocation_bound_s


class CreateToken(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/tokens`; without `site` for the default site, without `expires_at` for good.

    A fraction of a second of `expires_at` is cut off.
    """

    name: str
    scopes: list[str]
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    site: str | None = None
    owner: str | None = None

    def to_request(self) -> TokenRequest:
        """What the domain is asked for."""
        return TokenRequest(name=self.name, scopes=self.scopes, expires_at=self.expires_at, owner=self.owner)


class TokenPayload(Struct, frozen=True):
    """A token as it is shown at any time."""

    id: str
    name: str
    site: str
    scopes: list[str]
    hint: str
    status: Status
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    owner: str | None

    @classmethod
    def of(cls, token: Token, now: datetime) -> "TokenPayload":
        """How `token` is shown at `now`."""
        return cls(
            id=token.id,
            name=token.name,
            site=token.site_id,
            scopes=[str(scope) for scope in token.scopes],
            hint=token.hint,
            status=token.status(now),
            created_at=token.created_at,
            expires_at=token.expires_at,
            revoked_at=token.revoked_at,
            owner=token.owner,
        )


class IssuedTokenPayload(TokenPayload, frozen=True):
    """A token as it is shown when it is made, this once with its secret."""

    token: str

    @classmethod
    def of_issued(cls, issued: IssuedToken, now: datetime) -> "IssuedTokenPayload":
        """How a token just issued is shown."""
        shown = TokenPayload.of(issued.token, now)
        return cls(**msgspec.structs.asdict(shown), token=issued.secret)


class TokenPage(Struct, frozen=True):
    """A page of tokens by name. `next` is the `cursor` of the page behind it, or null."""

    items: list[TokenPayload]
    next: str | None


class SitePayload(Struct, frozen=True):
    """A site; its polls are under `/x1/{endpoint_id}` of the polls service."""

    id: str
    name: str
    endpoint_id: str
    created_at: datetime

    @classmethod
    def of(cls, site: Site) -> "SitePayload":
        """How `site` is shown."""
        return cls(id=site.id, name=site.name, endpoint_id=site.endpoint_id, created_at=site.created_at)


class SitePage(Struct, frozen=True):
    """Every site, the default one first."""

    items: list[SitePayload]


class RevokeTokens(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/tokens/revoke`: conditions that a token meets all of, or `all` alone.

    `scope` takes tokens that can do something it speaks of: `polls:read:PLAT` takes one for `polls:*:PLAT/PLAT-1`.
    """

    ids: list[str] | None = None
    owner: str | None = None
    site: str | None = None
    scope: str | None = None
    issued_before: Annotated[datetime, Meta(tz=True)] | None = None
    unused_since: Annotated[datetime, Meta(tz=True)] | None = None
    all: bool = False

    def to_selection(self) -> Selection:
        """What the domain makes of it."""
        return selection(
            ids=self.ids,
            owner=self.owner,
            site=self.site,
            scope=self.scope,
            issued_before=self.issued_before,
            unused_since=self.unused_since,
            everything=self.all,
        )


class GuardsPayload(Struct, frozen=True):
    """How many guards have confirmed a revocation, and how many have run out of their lease instead."""

    confirmed: int
    expired: int


class RevocationPayload(Struct, frozen=True, omit_defaults=True):
    """A revocation. `effective`: no guard accepts the token any more; else that is so from `effective_by` on."""

    revoked_at: datetime
    seq: int
    effective: bool
    waited_ms: float | None = None
    guards: GuardsPayload | None = None
    effective_by: datetime | None = None

    @classmethod
    def of(cls, revocation: Revocation, effect: Effect | None, effective_by: datetime) -> "RevocationPayload":
        """How `revocation` is shown; without `effect` where nobody has waited."""
        effective = effect is not None and effect.effective
        return cls(
            revoked_at=revocation.revoked_at,
            seq=revocation.wait.seq,
            effective=effective,
            waited_ms=effect.waited_ms if effect else None,
            guards=GuardsPayload(effect.confirmed, effect.expired) if effect else None,
            effective_by=None if effective else effective_by,
        )


class BulkRevocationPayload(Struct, frozen=True):
    """How many tokens a bulk revocation has ended, how many had been, and which of the ids named no token has that
    meets the conditions. `revocation` is of all that meet them, and null where none does.
    """

    revoked: int
    already_revoked: int
    unmatched: list[str]
    revocation: RevocationPayload | None

    @classmethod
    def of(cls, bulk: BulkRevocation, revocation: RevocationPayload | None) -> "BulkRevocationPayload":
        """How `bulk` is shown."""
        return cls(bulk.revoked, bulk.already_revoked, bulk.unmatched, revocation)


class KeyPayload(Struct, frozen=True):
    """A public key as JSON Web Key (RFC 8037 §2)."""

    kid: str
    x: str
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = SIGNATURE_ALGORITHM
    use: str = "sig"

    @classmethod
    def of(cls, kid: str, public_key: bytes) -> "KeyPayload":
        """How the key of these 32 bytes is shown."""
        return cls(kid=kid, x=urlsafe_b64encode(public_key).decode().rstrip("="))


class KeySet(Struct, frozen=True):
    """A JSON Web Key Set (RFC 7517 §5)."""

    keys: list[KeyPayload]


class AuthorizationServerMetadata(Struct, frozen=True):
    """RFC 8414 §2, and `revocation_bound_ms`: how long a revocation waits at most for a guard that is cut off."""

    issuer: str
    introspection_endpoint: str
    revocation_endpoint: str
    jwks_uri: str
    revocation_bound_ms: int
    response_types_supported: tuple[str, ...] = ()
    grant_types_supported: tuple[str, ...] = ()
    introspection_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    revocation_endpoint_auth_methods_supported: tuple[str, ...] = ("none",)

    @classmethod
    def of(cls, issuer: str, lease_s: float) -> "AuthorizationServerMetadata":
        """The document of the authority that tokens name as `issuer`."""
        base = issuer.rstrip("/")
        return cls(
            issuer=issuer,
            introspection_endpoint=f"{base}/oauth2/introspect",
            revocation_endpoint=f"{base}/oauth2/revoke",
            jwks_uri=f"{base}/.well-known/jwks.json",
            revocation_bound_ms=round(revocation_bound_s(lease_s) * 1000),
        )
