"""An access token as the authority keeps it: what it may do, from where and until when, but not its secrets."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import Struct

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.secret import MintedSecret, mint_secret
from services.token_authority.domain.token_fields import (
    Lifetime,
    checked_description,
    checked_metadata,
    checked_networks,
    checked_rate,
    checked_scopes,
    checked_text,
)
from shared.contract.scope import Scope
from shared.contract.token import random_base62

Status = Literal["active", "disabled", "expired", "revoked"]


class Token(Struct, frozen=True, kw_only=True):
    """`hint` shows the last four characters of the newest secret, for recognition; times are aware, in UTC.

    `allowed_ips` are networks, none for everywhere; `rate_limit` is in requests a minute. `created_by`, `disabled_by`
    and `revoked_by` are actors as they are written. `late_use_at`: when a secret was last presented after its end.
    `enabled_at`: when it was last enabled again, if ever.
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
        """What ended it for good wins over what can be undone."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        if self.disabled_at is not None:
            return "disabled"
        return "active"


def searchable(text: str) -> str:
    """A text as tokens are searched by it: without regard to case."""
    return text.casefold()


class Ended(Struct, frozen=True):
    """When tokens were revoked, and the number of the last of these changes in the log."""

    revoked_at: datetime
    seq: int


class TokenRequest(Struct, frozen=True, kw_only=True):
    """What a new token is to be, not yet checked."""

    name: str
    description: str
    owner: str | None
    scopes: Sequence[str]
    lifetime: Lifetime
    allow_query: bool
    allowed_ips: Sequence[str]
    rate_limit: int | None
    metadata: Mapping[str, Any]


class IssuedToken(Struct, frozen=True):
    """A token and, this once, its secret."""

    token: Token
    minted: MintedSecret


def issue(
    request: TokenRequest, site_id: str, created_by: Actor, now: datetime, longest: timedelta | None
) -> IssuedToken:
    """Check the request and make the token. Raises `InvalidValue` for the first rule that is broken.

    `longest` is how long tokens may live here.
    """
    token_id = f"tok_{random_base62(16)}"
    minted = mint_secret("token", token_id, now)
    token = Token(
        id=token_id,
        site_id=site_id,
        name=checked_text("name", request.name),
        description=checked_description(request.description),
        owner=None if request.owner is None else checked_text("owner", request.owner),
        scopes=checked_scopes(request.scopes),
        allow_query=request.allow_query,
        allowed_ips=checked_networks(request.allowed_ips),
        rate_limit=checked_rate(request.rate_limit),
        metadata=checked_metadata(request.metadata),
        hint=minted.secret.hint,
        created_by=str(created_by),
        created_at=now,
        expires_at=request.lifetime.end(now, longest),
    )
    return IssuedToken(token, minted)
