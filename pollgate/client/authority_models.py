"""Tokens, admin keys, services, sites and signing keys as Python values; times are aware datetimes."""

from datetime import date, datetime
from typing import Any

from msgspec import Struct


class Site(Struct, frozen=True):
    """An installation of the polls app."""

    id: str
    name: str
    endpoint_id: str
    created_at: datetime


class Guards(Struct, frozen=True):
    """How many guards confirmed a change, and how many had their lease expire instead."""

    confirmed: int
    expired: int


class Effect(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Whether a change is `effective` at every guard, or else by when it will be (`effective_by`)."""

    seq: int
    effective: bool
    waited_ms: float | None = None
    guards: Guards | None = None
    effective_by: datetime | None = None


class Revocation(Effect, frozen=True, omit_defaults=True, kw_only=True):
    """A revocation and its effect."""

    revoked_at: datetime


class BulkRevocation(Struct, frozen=True):
    """How many tokens were revoked, how many were revoked before, which ids matched none, and the effect of it all."""

    revoked: int
    already_revoked: int
    unmatched: list[str]
    revocation: Revocation | None


class Token(Struct, frozen=True, kw_only=True):
    """An access token without its secret. `rate_limit` is in requests per minute, `None` without a limit.

    `self_rotation`: whether its holder may rotate it.
    """

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
    self_rotation: bool = False
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_address: str | None = None
    last_used_user_agent: str | None = None
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
    """A new token with its secret (`token`), which is not shown again."""

    token: str


class ChangedToken(Token, frozen=True, kw_only=True):
    """A token after a change. `effect` is `None` where the change does not concern services."""

    effect: Effect | None


class RotatedToken(ChangedToken, frozen=True, kw_only=True):
    """A token with its new secret (`token`), which is not shown again, and the time until which the old ones work."""

    token: str
    old_secrets_end_at: datetime | None


class Secret(Struct, frozen=True, kw_only=True):
    """What is known of a secret. `late_uses` counts its uses after its end."""

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


class DailyUse(Struct, frozen=True):
    """Requests that were accepted and refused on one day in UTC."""

    day: date
    uses: int
    refusals: int


class TokenDetail(Token, frozen=True, kw_only=True):
    """A token with its secrets, the newest first, and its use on each day on which it was used."""

    secrets: list[Secret]
    days: list[DailyUse]


class FoundToken(Token, frozen=True, kw_only=True):
    """A token that was found by a secret, and what is known of that secret."""

    secret: Secret


class Finding(Struct, frozen=True):
    """A token to look at: the `kind` of finding, the `reason` for it, and the `remedy`.

    `kept_until` and `kept_by` are `None` unless an administrator keeps the finding.
    """

    kind: str
    token: Token
    reason: str
    remedy: str
    kept_until: datetime | None = None
    kept_by: str | None = None


class KeptFinding(Struct, frozen=True):
    """A finding that reviews leave out until `kept_until`."""

    token_id: str
    kind: str
    kept_until: datetime
    kept_by: str


class ReviewCompletion(Struct, frozen=True):
    """When a review of the tokens was completed, and by which administrator."""

    at: datetime
    by: str


class ReviewStatus(Struct, frozen=True):
    """When a review was last completed; `None` if never."""

    last_completed: ReviewCompletion | None = None


class AdminKey(Struct, frozen=True, kw_only=True):
    """An admin key without its secret; `sites` and `scopes` are its limits, `None` without a limit."""

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


class CreatedAdminKey(AdminKey, frozen=True, kw_only=True):
    """An admin key with its new secret (`key`), which is not shown again."""

    key: str


class RotatedAdminKey(CreatedAdminKey, frozen=True, kw_only=True):
    """An admin key with its new secret (`key`), and the time until which the old ones work."""

    old_secrets_end_at: datetime | None


class SignInLink(Struct, frozen=True):
    """A link that signs in once on the settings pages, on the machine of the token authority."""

    url: str
    expires_at: datetime


class Service(Struct, frozen=True, kw_only=True):
    """A service that introspects tokens, of these `sites` or, where they are `None`, of all."""

    client_id: str
    name: str
    sites: list[str] | None
    public_key: str | None
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    disabled_by: str | None


class CreatedService(Service, frozen=True, kw_only=True):
    """A service with its new secret, which is not shown again; `None` for a service with a public key."""

    secret: str | None


class RotatedService(CreatedService, frozen=True, kw_only=True):
    """A service with its new secret, and the time until which the old ones work."""

    old_secrets_end_at: datetime | None


class HeldToken(Struct, frozen=True, kw_only=True):
    """A token for its holder. `ended` is expired, disabled, revoked or rotated; `None` while it `works`.

    `self_rotation`: whether the holder may rotate it.
    """

    id: str
    name: str
    site: str
    scopes: list[str]
    works: bool
    expires_at: datetime | None
    allow_query: bool
    allowed_ips: list[str]
    rate_limit: int | None
    self_rotation: bool = False
    ended: str | None
    ended_at: datetime | None
    reason: str | None


class RotatedHeldToken(HeldToken, frozen=True, kw_only=True):
    """A token for its holder with its new secret (`token`), and the time until which the old one works."""

    token: str
    old_secrets_end_at: datetime | None
    effect: Effect | None


class ServiceDetail(Service, frozen=True, kw_only=True):
    """A service with its secrets, the newest first."""

    secrets: list[Secret]


class SigningKey(Struct, frozen=True):
    """A published signing key. `state` is next, signing or retired; `published_until` is `None` until it has a
    successor.
    """

    kid: str
    state: str
    created_at: datetime
    signs_from: datetime
    published_until: datetime | None


class AuditHead(Struct, frozen=True):
    """A record of the audit log by its `seq` and `hash`."""

    seq: int
    hash: str


class AuditReport(Struct, frozen=True):
    """How many `records` of the audit log follow one another unchanged, the last of them, and what is `broken` there.

    `has_earlier_head` is `None` if none was given. The log is `intact` if it is not `broken` and has an earlier head.
    """

    records: int
    head: AuditHead
    intact: bool
    broken: str | None
    has_earlier_head: bool | None
