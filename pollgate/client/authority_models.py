"""The answers of the token authority's management API, as the command line reads them."""

from datetime import date, datetime
from typing import Any, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Site(Struct, frozen=True):
    """An installation of the polls app."""

    id: str
    name: str
    endpoint_id: str
    created_at: datetime


class Guards(Struct, frozen=True):
    """How many guards have confirmed a change, and how many have run out of their lease instead."""

    confirmed: int
    expired: int


class Effect(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How far a change is in force: everywhere where it is `effective`, else from `effective_by` on."""

    seq: int
    effective: bool
    waited_ms: float | None = None
    guards: Guards | None = None
    effective_by: datetime | None = None


class Revocation(Effect, frozen=True, omit_defaults=True, kw_only=True):
    """A revocation, and how far it is in force."""

    revoked_at: datetime


class BulkRevocation(Struct, frozen=True):
    """How many tokens were revoked, how many had been, which ids named none, and the revocation of them all."""

    revoked: int
    already_revoked: int
    unmatched: list[str]
    revocation: Revocation | None


class Token(Struct, frozen=True, kw_only=True):
    """An access token: all but its secret."""

    id: str
    name: str
    description: str
    site: str
    owner: str | None
    scopes: list[str]
    hint: str
    status: str
    allow_query: bool
    allowed_ips: list[str]
    rate_limit: int | None
    metadata: dict[str, Any]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    uses: int
    refusals: int
    rotated_secret_used_at: datetime | None
    disabled_at: datetime | None
    disabled_by: str | None
    disabled_reason: str | None
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_reason: str | None
    revoked_text: str | None


class IssuedToken(Token, frozen=True, kw_only=True):
    """A token as it is shown when it is made, this once with its secret."""

    token: str


class ChangedToken(Token, frozen=True, kw_only=True):
    """A token after a change, and how far that is in force; `None` where it is nothing to services."""

    effect: Effect | None


class RotatedToken(ChangedToken, frozen=True, kw_only=True):
    """A token with its new secret, shown this once, and until when those before it work."""

    token: str
    old_secrets_end_at: datetime | None


class Secret(Struct, frozen=True, kw_only=True):
    """A secret by what is kept of it. `late_uses` counts what was asked of it after its end."""

    id: str
    hint: str
    works: bool
    created_at: datetime
    ends_at: datetime | None
    ends_on_use: bool
    first_used_at: datetime | None
    last_used_at: datetime | None
    late_uses: int
    last_late_use_at: datetime | None


class Day(Struct, frozen=True):
    """Requests let through and refused on one day in UTC."""

    day: date
    uses: int
    refusals: int


class TokenDetail(Token, frozen=True, kw_only=True):
    """A token with its secrets, the newest first, and its use on the days on which there was any."""

    secrets: list[Secret]
    days: list[Day]


class Finding(Struct, frozen=True):
    """A token that someone should look at: of which `kind`, for which `reason`, and what to do about it."""

    kind: str
    token: Token
    reason: str
    remedy: str


class AdminKey(Struct, frozen=True, kw_only=True):
    """An admin key; `sites` and `scopes` that are `None` set no limit."""

    id: str
    name: str
    role: str
    sites: list[str] | None
    scopes: list[str] | None
    hint: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    revoked_by: str | None


class MadeAdminKey(AdminKey, frozen=True, kw_only=True):
    """An admin key with its new secret, shown this once."""

    key: str


class Service(Struct, frozen=True, kw_only=True):
    """A service that introspects; `sites` that are `None` set no limit."""

    client_id: str
    name: str
    sites: list[str] | None
    public_key: str | None
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    disabled_by: str | None


class MadeService(Service, frozen=True, kw_only=True):
    """A service with its new secret, shown this once; `None` for one that has a public key."""

    secret: str | None


class ServiceDetail(Service, frozen=True, kw_only=True):
    """A service with its secrets, the newest first."""

    secrets: list[Secret]


class SigningKey(Struct, frozen=True):
    """A key that the authority signs with, did or will: `state` is next, signing or retired. `published_until` is
    `None` until another is to take its place.
    """

    kid: str
    state: str
    created_at: datetime
    signs_from: datetime
    published_until: datetime | None


class Page(Struct, Generic[T], frozen=True):
    """Some things, and what asks for those behind them, if there are any."""

    items: list[T]
    next: str | int | None = None
