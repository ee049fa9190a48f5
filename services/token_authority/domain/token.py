"""An access token as the authority stores it: its scopes, limits and state, without its secrets."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from unicodedata import normalize

from msgspec import Struct

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.secret import MintedSecret, Secret, mint_secret
from services.token_authority.domain.token_fields import (
    Lifetime,
    validate_description,
    validate_metadata,
    validate_networks,
    validate_rate_limit,
    validate_scopes,
    validate_text,
)
from shared.contract.scope import Scope
from shared.contract.token import random_base62

Status = Literal["active", "disabled", "expired", "revoked"]


class Token(Struct, frozen=True, kw_only=True):
    """A token. `hint` shows the last four characters of the newest secret; times are aware, in UTC.

    `allowed_ips` are networks, or empty for any address; `rate_limit` is in requests per minute.
    `self_rotation`: whether the holder may rotate the token. `created_by`,
    `disabled_by` and `revoked_by` are actors as text. `late_use_at`: when a secret was last presented after its end.
    `enabled_at`: when the token was last enabled again.
    """

    id: str
    site_id: str
    name: str
    description: str = ""
    owner: str | None = None
    scopes: tuple[Scope, ...]
    allow_query: bool = True
    allowed_ips: tuple[str, ...] = ()
    rate_limit: int | None = None
    metadata: Mapping[str, Any] = {}
    self_rotation: bool = False
    hint: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    disabled_at: datetime | None = None
    disabled_by: str | None = None
    disabled_reason: str | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    revoked_reason: str | None = None
    revoked_text: str | None = None
    late_use_at: datetime | None = None
    enabled_at: datetime | None = None

    def status(self, now: datetime) -> Status:
        """Return its status at `now`. A permanent end takes precedence over disabling."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        if self.disabled_at is not None:
            return "disabled"
        return "active"


class TokenLookup(NamedTuple):
    """A token found by one of its secrets, with the endpoint id of its site, as of the change with this `seq`."""

    token: Token
    secret: Secret
    endpoint_id: str
    as_of: int

    def works(self, now: datetime) -> bool:
        """Return whether the token works with this secret."""
        return self.token.status(now) == "active" and self.secret.works(now)


class TokensAsOf(NamedTuple):
    """Tokens by the digest of the secret that found them, all read as of the change with this `seq`."""

    by_digest: Mapping[bytes, TokenLookup]
    as_of: int


def fold(text: str) -> str:
    """Return `text` in the form that searches compare, which ignores case and the Unicode normal form."""
    return normalize("NFC", normalize("NFD", text).casefold())


class TokenRequest(Struct, frozen=True, kw_only=True):
    """The fields of a new token, not validated yet."""

    name: str
    description: str
    owner: str | None
    scopes: Sequence[str]
    lifetime: Lifetime
    allow_query: bool
    allowed_ips: Sequence[str]
    rate_limit: int | None
    metadata: Mapping[str, Any]
    self_rotation: bool


class IssuedToken(Struct, frozen=True):
    """A new token with its secret."""

    token: Token
    minted: MintedSecret


def issue(
    request: TokenRequest, site_id: str, created_by: Actor, now: datetime, max_lifetime: timedelta | None
) -> IssuedToken:
    """Validate the request and return the token. Raise `InvalidValue` for the first rule that is broken."""
    token_id = f"tok_{random_base62(16)}"
    minted = mint_secret("token", token_id, now)
    token = Token(
        id=token_id,
        site_id=site_id,
        name=validate_text("name", request.name),
        description=validate_description(request.description),
        owner=None if request.owner is None else validate_text("owner", request.owner),
        scopes=validate_scopes(request.scopes),
        allow_query=request.allow_query,
        allowed_ips=validate_networks(request.allowed_ips),
        rate_limit=validate_rate_limit(request.rate_limit),
        metadata=validate_metadata(request.metadata),
        self_rotation=request.self_rotation,
        hint=minted.secret.hint,
        created_by=str(created_by),
        created_at=now,
        expires_at=request.lifetime.compute_expiry(now, max_lifetime),
    )
    return IssuedToken(token, minted)
