"""Tokens in requests and responses."""

from datetime import date, datetime
from typing import Annotated, Any, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from services.token_authority.domain.secret import DEFAULT_OVERLAP_S, Rotation, Secret, rotation
from services.token_authority.domain.selection import Selection, StatusFilter, selection
from services.token_authority.domain.token import IssuedToken, Status, Token, TokenRequest
from services.token_authority.domain.token_change import RotatedToken, TokenChange
from services.token_authority.domain.token_fields import Lifetime, Preset, checked_text
from services.token_authority.domain.token_page import FoundToken, SortKey
from services.token_authority.domain.usage import DayOfUse, Use
from services.token_authority.payloads.fields import (
    AllowQuery,
    Description,
    ExpiresIn,
    Metadata,
    Name,
    Networks,
    OverlapS,
    Owner,
    RateLimit,
    Scopes,
    SiteId,
    Time,
)
from services.token_authority.payloads.revocation import EffectPayload

T = TypeVar("T")


class CreateToken(Struct, frozen=True, forbid_unknown_fields=True):
    """A new token. Without an expiry it never expires; fractions of a second of the expiry are cut off."""

    name: Name
    scopes: Scopes
    description: Description = ""
    owner: Owner | None = None
    site: SiteId | None = None
    expires_at: Time | None = None
    expires_in: ExpiresIn | Preset | None = None
    allow_query: AllowQuery = True
    allowed_ips: Networks = []
    rate_limit: RateLimit | None = None
    metadata: Metadata = {}

    def to_request(self) -> TokenRequest:
        """Return the fields, not validated yet."""
        return TokenRequest(
            name=self.name,
            description=self.description,
            owner=self.owner,
            scopes=self.scopes,
            lifetime=Lifetime(self.expires_at, self.expires_in),
            allow_query=self.allow_query,
            allowed_ips=self.allowed_ips,
            rate_limit=self.rate_limit,
            metadata=self.metadata,
        )


class ChangeToken(Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON merge patch for a token (RFC 7396). It can only reduce what the token may do."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    owner: Owner | UnsetType | None = UNSET
    scopes: Scopes | UnsetType = UNSET
    expires_at: Time | UnsetType | None = UNSET
    expires_in: ExpiresIn | Preset | UnsetType = UNSET
    allow_query: AllowQuery | UnsetType = UNSET
    allowed_ips: Networks | UnsetType = UNSET
    rate_limit: RateLimit | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET

    def to_change(self) -> TokenChange:
        """Return the change, not validated yet."""
        lifetime: Lifetime | UnsetType = UNSET
        if self.expires_at is not UNSET or self.expires_in is not UNSET:
            lifetime = Lifetime(_given(self.expires_at), _given(self.expires_in))
        return TokenChange(
            name=self.name,
            description=self.description,
            owner=self.owner,
            scopes=self.scopes,
            lifetime=lifetime,
            allow_query=self.allow_query,
            allowed_ips=self.allowed_ips,
            rate_limit=self.rate_limit,
            metadata=self.metadata,
        )


def _given(value: T | UnsetType) -> T | None:
    return None if value is UNSET else value


class DisableToken(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a token is disabled."""

    reason: Annotated[str, Meta(description="1 to 255 characters")] | None = None

    def to_reason(self) -> str | None:
        """Return the reason. Raise `InvalidValue`."""
        return None if self.reason is None else checked_text("reason", self.reason)


class RotateSecret(Struct, frozen=True, forbid_unknown_fields=True):
    """How a new secret replaces the older ones."""

    overlap_s: OverlapS = DEFAULT_OVERLAP_S
    end_on_use: Annotated[bool, Meta(description="end the older secrets with the first use of the new one")] = False

    def to_rotation(self, key: str | None = None) -> Rotation:
        """Return the rotation; `key` is the Idempotency-Key. Raise `InvalidValue`."""
        return rotation(self.overlap_s, end_on_use=self.end_on_use, key=key)


class ListTokens(Struct, frozen=True):
    """Conditions, all of which a token has to meet, the order and the page. A range includes its start, not its end."""

    search: Annotated[str, Meta(description="a part of the name or the description, ignoring case")] | None = None
    status: Annotated[StatusFilter, Meta(description="`expiring`: active, expires within 7 days")] | None = None
    owner: Owner | None = None
    site: Annotated[str, Meta(description="the id of a site")] | None = None
    scope: (
        Annotated[
            str,
            Meta(
                description="tokens whose scopes overlap it: `PLAT`, `polls:read:PLAT/PLAT-1` or `ANY`",
                examples=["PLAT"],
            ),
        ]
        | None
    ) = None
    created_after: Time | None = None
    created_before: Time | None = None
    used_after: Time | None = None
    unused_since: Annotated[datetime, Meta(tz=True, description="not used since this time, or never")] | None = None
    expires_after: Time | None = None
    expires_before: Time | None = None
    sort: Annotated[SortKey, Meta(description="the column to sort by")] = "name"
    descending: Annotated[bool, Meta(description="sort in descending order")] = False
    limit: Annotated[int, Meta(ge=1, le=200, description="maximum number of tokens, 1 to 200")] = 100
    cursor: Annotated[str, Meta(description="the `next` of the previous page")] | None = None

    def to_selection(self) -> Selection:
        """Return the selection. Raise `InvalidValue`."""
        return selection(
            search=self.search,
            status=self.status,
            owner=self.owner,
            site=self.site,
            scope=self.scope,
            created_after=self.created_after,
            created_before=self.created_before,
            used_after=self.used_after,
            unused_since=self.unused_since,
            expires_after=self.expires_after,
            expires_before=self.expires_before,
        )


class TokenPayload(Struct, frozen=True, kw_only=True):
    """A token with its counts, without its secret.

    `*_by` is an admin key (`admin_key:adm_…`), a `holder`, the `policy` or the `system`. `rotated_secret_used_at`: when
    one of its secrets was last presented after its end, an alert.
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

    @classmethod
    def of(cls, token: Token, use: Use, now: datetime) -> "TokenPayload":
        """Return the payload of a token at `now`."""
        return cls(**_fields(token, use, now))


def _fields(token: Token, use: Use, now: datetime) -> dict[str, Any]:
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
        return cls(**_fields(issued.token, Use(), now), token=issued.minted.text)


class ChangedTokenPayload(TokenPayload, frozen=True, kw_only=True):
    """A token after a change. `effect` says how far the change is effective; null if it does not concern services."""

    effect: EffectPayload | None

    @classmethod
    def of_changed(cls, token: Token, use: Use, effect: EffectPayload | None, now: datetime) -> "ChangedTokenPayload":
        """Return the payload of a changed token."""
        return cls(**_fields(token, use, now), effect=effect)


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
        fields = _fields(rotated.token, use, now)
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
    def of(cls, secret: Secret, now: datetime, *, alive: bool) -> "SecretPayload":
        """Return the payload of a secret at `now`; it does not work if its holder is not `alive`."""
        same = {name: getattr(secret, name) for name in cls.__struct_fields__ if name != "works"}
        return cls(**same, works=alive and secret.works(now))


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
            **_fields(token, use, now),
            secrets=[SecretPayload.of(secret, now, alive=token.status(now) == "active") for secret in secrets],
            days=[DayPayload.of(day) for day in days],
        )


class TokenPage(Struct, frozen=True):
    """A page of tokens. `next` is the `cursor` of the next page, or null."""

    items: list[TokenPayload]
    next: str | None

    @classmethod
    def of(cls, found: list[FoundToken], cursor: str | None, now: datetime) -> "TokenPage":
        """Return the payload of a page."""
        return cls([TokenPayload.of(each.token, each.use, now) for each in found], cursor)


class HeldTokenPayload(Struct, frozen=True):
    """A token for its holder: what it may do, and why and since when it does not work.

    `ended`: `expired`, `disabled`, `revoked`, or `rotated` if another secret replaced this one.
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
    ended: str | None
    ended_at: datetime | None
    reason: str | None

    @classmethod
    def of(cls, token: Token, secret: Secret, now: datetime) -> "HeldTokenPayload":
        """Return the payload for the holder of `secret` at `now`."""
        ended, ended_at, reason = _ending(token, secret, now)
        ends = [end for end in (token.expires_at, secret.ends_at) if end is not None]
        return cls(
            id=token.id,
            name=token.name,
            site=token.site_id,
            scopes=[str(scope) for scope in token.scopes],
            works=ended is None,
            expires_at=min(ends, default=None),
            allow_query=token.allow_query,
            allowed_ips=list(token.allowed_ips),
            rate_limit=token.rate_limit,
            ended=ended,
            ended_at=ended_at,
            reason=reason,
        )


def _ending(token: Token, secret: Secret, now: datetime) -> tuple[str | None, datetime | None, str | None]:
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
