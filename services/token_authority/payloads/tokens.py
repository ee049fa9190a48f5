"""Tokens in responses."""

from datetime import date, datetime
from typing import Any

from msgspec import Struct

from services.token_authority.domain.administrator import Rights
from services.token_authority.domain.secret import Secret
from services.token_authority.domain.token import IssuedToken, Status, Token
from services.token_authority.domain.token_change import RotatedToken
from services.token_authority.domain.token_page import FoundToken
from services.token_authority.domain.usage import DayOfUse, Use
from services.token_authority.payloads.revocation import EffectPayload


class TokenPayload(Struct, frozen=True, kw_only=True):
    """A token with its counts, without its secret.

    `*_by` is an admin key (`admin_key:adm_…`), a person (`person:…`), a `holder`, the `policy`, an
    operator (`operator:…`) or the `system`.
    `rotated_secret_used_at`: when one of its secrets was last presented after its end, an alert. `last_used_address`
    and `last_used_user_agent`: from where it was used last, null if the service does not report it.
    """

    id: str
    name: str
    description: str
    site: str
    owner: str | None
    scopes: list[str]
    hint: str
    status: Status
    allow_query: bool
    allowed_ips: list[str]
    rate_limit: int | None
    metadata: dict[str, Any]
    self_rotation: bool
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_address: str | None
    last_used_user_agent: str | None
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

    @classmethod
    def of(cls, token: Token, use: Use, now: datetime) -> "TokenPayload":
        """Return the payload of a token at `now`."""
        return cls(**token_fields(token, use, now))


def token_fields(token: Token, use: Use, now: datetime) -> dict[str, Any]:
    """Return the fields of a `TokenPayload` at `now`."""
    same = {name: getattr(token, name) for name in TokenPayload.__struct_fields__ if hasattr(token, name)}
    return {
        **same,
        **use._asdict(),
        "site": token.site_id,
        "scopes": [str(scope) for scope in token.scopes],
        "allowed_ips": list(token.allowed_ips),
        "status": token.status(now),
        "rotated_secret_used_at": token.late_use_at,
    }


class IssuedTokenPayload(TokenPayload, frozen=True, kw_only=True):
    """A new token with its secret, which is shown only once."""

    token: str

    @classmethod
    def of_issued(cls, issued: IssuedToken, now: datetime) -> "IssuedTokenPayload":
        """Return the payload of a new token."""
        return cls(**token_fields(issued.token, Use(), now), token=issued.minted.text)


class ChangedTokenPayload(TokenPayload, frozen=True, kw_only=True):
    """A token after a change. `effect` says how far the change is effective; null if it does not concern services."""

    effect: EffectPayload | None

    @classmethod
    def of_changed(cls, token: Token, use: Use, effect: EffectPayload | None, now: datetime) -> "ChangedTokenPayload":
        """Return the payload of a changed token."""
        return cls(**token_fields(token, use, now), effect=effect)


class RotatedTokenPayload(TokenPayload, frozen=True, kw_only=True):
    """A token with its new secret, which is shown only once. `old_secrets_end_at`: when the last older secret ends."""

    token: str
    old_secrets_end_at: datetime | None
    effect: EffectPayload | None

    @classmethod
    def of_rotated(
        cls, rotated: RotatedToken, use: Use, effect: EffectPayload | None, now: datetime
    ) -> "RotatedTokenPayload":
        """Return the payload of a rotated token."""
        fields = token_fields(rotated.token, use, now)
        return cls(
            **fields,
            token=rotated.minted.text,
            old_secrets_end_at=rotated.old_secrets_end_at,
            effect=effect,
        )


class SecretPayload(Struct, frozen=True):
    """A secret, without its text. `late_uses` counts how often it was introspected after its end."""

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

    @classmethod
    def of(cls, secret: Secret, now: datetime, *, holder_works: bool) -> "SecretPayload":
        """Return the payload of a secret at `now`; it does not work unless its holder does."""
        same = {name: getattr(secret, name) for name in cls.__struct_fields__ if name != "works"}
        return cls(**same, works=holder_works and secret.works(now))


class DayPayload(Struct, frozen=True):
    """Accepted and refused requests on one day in UTC."""

    day: date
    uses: int
    refusals: int

    @classmethod
    def of(cls, day: DayOfUse) -> "DayPayload":
        """Return the payload of one day."""
        return cls(*day)


class TokenDetailPayload(TokenPayload, frozen=True, kw_only=True):
    """A token with its secrets, newest first, and its counts for the last 90 days on which it was used or refused."""

    secrets: list[SecretPayload]
    days: list[DayPayload]

    @classmethod
    def of_detail(
        cls, token: Token, use: Use, secrets: list[Secret], days: list[DayOfUse], now: datetime
    ) -> "TokenDetailPayload":
        """Return the payload of a token with its secrets and daily counts."""
        return cls(
            **token_fields(token, use, now),
            secrets=[SecretPayload.of(secret, now, holder_works=token.status(now) == "active") for secret in secrets],
            days=[DayPayload.of(day) for day in days],
        )


class LimitsPayload(Struct, frozen=True):
    """The limits of the admin key: tokens that are not entirely within them are left out. Null means no limit."""

    sites: list[str] | None
    scopes: list[str] | None

    @classmethod
    def of(cls, rights: Rights) -> "LimitsPayload | None":
        """Return the payload of the limits; `None` for rights without limits."""
        scopes = None if rights.scopes is None else [str(scope) for scope in rights.scopes]
        return None if rights.sees_all else cls(None if rights.sites is None else list(rights.sites), scopes)


class TokenPage(Struct, frozen=True):
    """A page of tokens. `next` is the `cursor` of the next page, or null. `limits` is null for an admin key that sees
    every token.
    """

    items: list[TokenPayload]
    next: str | None
    limits: LimitsPayload | None

    @classmethod
    def of(cls, found: list[FoundToken], cursor: str | None, rights: Rights, now: datetime) -> "TokenPage":
        """Return the payload of a page for an administrator with these rights."""
        return cls([TokenPayload.of(each.token, each.use, now) for each in found], cursor, LimitsPayload.of(rights))


class HeldTokenPayload(Struct, frozen=True, kw_only=True):
    """A token for its holder: what it may do, and why and since when it does not work.

    `ended`: `expired`, `disabled`, `revoked`, or `rotated` if another secret replaced this one. `self_rotation`:
    whether `POST /v1/token/rotate` swaps its secret.
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
    self_rotation: bool
    ended: str | None
    ended_at: datetime | None
    reason: str | None

    @classmethod
    def of(cls, token: Token, secret: Secret, now: datetime) -> "HeldTokenPayload":
        """Return the payload for the holder of `secret` at `now`."""
        return cls(**_held_fields(token, secret, now))


class RotatedHeldTokenPayload(HeldTokenPayload, frozen=True, kw_only=True):
    """A token for its holder with its new secret, which is shown only once. `old_secrets_end_at`: when the old one
    ends.
    """

    token: str
    old_secrets_end_at: datetime | None
    effect: EffectPayload | None

    @classmethod
    def of_rotated(
        cls, rotated: RotatedToken, effect: EffectPayload | None, now: datetime
    ) -> "RotatedHeldTokenPayload":
        """Return the payload of a token that its holder has rotated."""
        return cls(
            **_held_fields(rotated.token, rotated.minted.secret, now),
            token=rotated.minted.text,
            old_secrets_end_at=rotated.old_secrets_end_at,
            effect=effect,
        )


def _held_fields(token: Token, secret: Secret, now: datetime) -> dict[str, Any]:
    ended, ended_at, reason = _describe_end(token, secret, now)
    ends = [end for end in (token.expires_at, secret.ends_at) if end is not None]
    return {
        "id": token.id,
        "name": token.name,
        "site": token.site_id,
        "scopes": [str(scope) for scope in token.scopes],
        "works": ended is None,
        "expires_at": min(ends, default=None),
        "allow_query": token.allow_query,
        "allowed_ips": list(token.allowed_ips),
        "rate_limit": token.rate_limit,
        "self_rotation": token.self_rotation,
        "ended": ended,
        "ended_at": ended_at,
        "reason": reason,
    }


def _describe_end(token: Token, secret: Secret, now: datetime) -> tuple[str | None, datetime | None, str | None]:
    status = token.status(now)
    if status == "revoked":
        return status, token.revoked_at, token.revoked_text or token.revoked_reason
    if status == "expired":
        return status, token.expires_at, None
    if not secret.works(now):
        return "rotated", secret.ends_at, "replaced by another secret"
    if status == "disabled":
        return status, token.disabled_at, token.disabled_reason
    return None, None, None
