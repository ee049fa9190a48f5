"""Tokens: as they are asked for, changed, rotated, listed and shown."""

from datetime import date, datetime
from typing import Annotated, Any, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from services.token_authority.domain.secret import DEFAULT_OVERLAP_S, Rotation, Secret, rotation
from services.token_authority.domain.selection import Selection, StatusFilter, selection
from services.token_authority.domain.token import IssuedToken, Status, Token, TokenRequest
from services.token_authority.domain.token_change import TokenChange
from services.token_authority.domain.token_fields import Lifetime, Preset, checked_text
from services.token_authority.operations.change import Rotated
from services.token_authority.payloads.revocation import EffectPayload
from services.token_authority.payloads.texts import (
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
from services.token_authority.storage.selections import Found, SortKey
from services.token_authority.storage.usage import DayOfUse, Use

T = TypeVar("T")


class CreateToken(Struct, frozen=True, forbid_unknown_fields=True):
    """A token to be made. Without an end it works for good; a fraction of a second of its end is cut off."""

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
        """What the domain is asked for."""
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
    """New values for some fields of a token; the others stay (RFC 7396). What it may do can only become less."""

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
        """What the domain is asked for."""
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
    """Why a token is disabled, if there is something to say."""

    reason: Annotated[str, Meta(description="in words, 1 to 255 characters")] | None = None

    def to_reason(self) -> str | None:
        """What the domain is told."""
        return None if self.reason is None else checked_text("reason", self.reason)


class RotateSecret(Struct, frozen=True, forbid_unknown_fields=True):
    """How a new secret takes the place of those before it."""

    overlap_s: OverlapS = DEFAULT_OVERLAP_S
    end_on_use: Annotated[bool, Meta(description="end them earlier, when the new secret is used first")] = False

    def to_rotation(self, key: str | None = None) -> Rotation:
        """What the domain is asked for."""
        return rotation(self.overlap_s, end_on_use=self.end_on_use, key=key)


class ListTokens(Struct, frozen=True):
    """Conditions that tokens meet all of, their order, and which page. A range has its beginning and not its end."""

    search: Annotated[str, Meta(description="a part of the name or the description, in any case")] | None = None
    status: Annotated[StatusFilter, Meta(description="`expiring` are active ones that end within 7 days")] | None = None
    owner: Owner | None = None
    site: Annotated[str, Meta(description="a site's id")] | None = None
    scope: (
        Annotated[
            str,
            Meta(
                description="those that can do something it speaks of: `PLAT`, `polls:read:PLAT/PLAT-1` or `ANY`",
                examples=["PLAT"],
            ),
        ]
        | None
    ) = None
    created_after: Time | None = None
    created_before: Time | None = None
    used_after: Time | None = None
    unused_since: Annotated[datetime, Meta(tz=True, description="not used since, or never")] | None = None
    expires_after: Time | None = None
    expires_before: Time | None = None
    sort: Annotated[SortKey, Meta(description="by which column")] = "name"
    descending: Annotated[bool, Meta(description="the other way round")] = False
    limit: Annotated[int, Meta(ge=1, le=200, description="how many at most, 1 to 200")] = 100
    cursor: Annotated[str, Meta(description="`next` of the page before")] | None = None

    def to_selection(self) -> Selection:
        """What the domain makes of the conditions."""
        conditions = (
            *("search", "status", "owner", "site", "scope", "created_after", "created_before"),
            *("used_after", "unused_since", "expires_after", "expires_before"),
        )
        return selection(**{name: getattr(self, name) for name in conditions})


class TokenPayload(Struct, frozen=True, kw_only=True):
    """A token as it is shown at any time: all but its secret, and what was counted of its use.

    `*_by` names an admin key (`admin_key:adm_…`), a `holder`, the `policy` or the `system`. `rotated_secret_used_at`:
    when one of its secrets was last presented after its end, an alert.
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
        """How `token` is shown at `now`."""
        return cls(**_shown(token, use, now))


def _shown(token: Token, use: Use, now: datetime) -> dict[str, Any]:
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
    """A token as it is shown when it is made, this once with its secret."""

    token: str

    @classmethod
    def of_issued(cls, issued: IssuedToken, now: datetime) -> "IssuedTokenPayload":
        """How a token just issued is shown."""
        return cls(**_shown(issued.token, Use(), now), token=issued.minted.text)


class ChangedTokenPayload(TokenPayload, frozen=True, kw_only=True):
    """A token after a change, and how far that is in force; null where it is nothing to services."""

    effect: EffectPayload | None

    @classmethod
    def of_changed(cls, token: Token, use: Use, effect: EffectPayload | None, now: datetime) -> "ChangedTokenPayload":
        """How a token that was changed is shown."""
        return cls(**_shown(token, use, now), effect=effect)


class RotatedTokenPayload(TokenPayload, frozen=True, kw_only=True):
    """A token with its new secret, shown this once. `old_secrets_end_at`: until when those before it work, at most."""

    token: str
    old_secrets_end_at: datetime | None
    effect: EffectPayload | None

    @classmethod
    def of_rotated(
        cls, rotated: Rotated, use: Use, effect: EffectPayload | None, now: datetime
    ) -> "RotatedTokenPayload":
        """How a token just rotated is shown."""
        shown = _shown(rotated.token, use, now)
        return cls(**shown, token=rotated.minted.text, old_secrets_end_at=rotated.old_end_at, effect=effect)


class SecretPayload(Struct, frozen=True):
    """A secret by what is kept of it. `late_uses` counts what services have asked of it after its end."""

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
        """How `secret` is shown at `now`; none of a holder that is not `alive` works."""
        same = {name: getattr(secret, name) for name in cls.__struct_fields__ if name != "works"}
        return cls(**same, works=alive and secret.works(now))


class DayPayload(Struct, frozen=True):
    """Requests let through and refused on one day in UTC."""

    day: date
    uses: int
    refusals: int

    @classmethod
    def of(cls, day: DayOfUse) -> "DayPayload":
        """How `day` is shown."""
        return cls(*day)


class TokenDetailPayload(TokenPayload, frozen=True, kw_only=True):
    """A token with its secrets, the newest first, and its use on the last 90 days on which there was any."""

    secrets: list[SecretPayload]
    days: list[DayPayload]

    @classmethod
    def of_detail(
        cls, token: Token, use: Use, secrets: list[Secret], days: list[DayOfUse], now: datetime
    ) -> "TokenDetailPayload":
        """How a token is shown alone."""
        return cls(
            **_shown(token, use, now),
            secrets=[SecretPayload.of(secret, now, alive=token.status(now) == "active") for secret in secrets],
            days=[DayPayload.of(day) for day in days],
        )


class TokenPage(Struct, frozen=True):
    """A page of tokens. `next` is the `cursor` of the page behind it, or null."""

    items: list[TokenPayload]
    next: str | None

    @classmethod
    def of(cls, found: list[Found], cursor: str | None, now: datetime) -> "TokenPage":
        """How tokens that were found are shown."""
        return cls([TokenPayload.of(each.token, each.use, now) for each in found], cursor)


class HeldTokenPayload(Struct, frozen=True):
    """A token as whoever holds it may know it: what it may do, and if it does not work since when and why.

    `ended`: `expired`, `disabled`, `revoked`, or `rotated` where another secret has taken the place of this one.
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
        """How the holder of `secret` sees it at `now`."""
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
        return "rotated", secret.ends_at, "another secret has taken its place"
    if status == "disabled":
        return status, token.disabled_at, token.disabled_reason
    return None, None, None
