"""Requests to issue, find, change, disable and rotate tokens."""

from typing import Annotated, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from services.token_authority.domain.idempotency import IdempotencyKey
from services.token_authority.domain.secret import DEFAULT_OVERLAP_S, Rotation, new_rotation
from services.token_authority.domain.selection import Selection, new_selection
from services.token_authority.domain.self_rotation import MAX_HELD_OVERLAP_S
from services.token_authority.domain.token import TokenRequest
from services.token_authority.domain.token_change import TokenChange
from services.token_authority.domain.token_fields import Lifetime, read_time_field, validate_text
from services.token_authority.domain.token_page import SortKey
from services.token_authority.payloads.fields import (
    AllowQuery,
    Description,
    EndTime,
    ExpiresIn,
    Metadata,
    Name,
    Networks,
    OverlapS,
    Owner,
    RateLimit,
    Scopes,
    Search,
    SelfRotation,
    SiteId,
    StartTime,
    Statuses,
)
from shared.runtime.http.query import query_time
from shared.runtime.text.times import describe_times, time_schema

T = TypeVar("T")


class CreateToken(Struct, frozen=True, forbid_unknown_fields=True):
    """A new token. Without an expiry it never expires. The expiry is stored in UTC, in whole seconds."""

    name: Name
    scopes: Scopes
    description: Description = ""
    owner: Owner | None = None
    site: SiteId | None = None
    expires_at: EndTime | None = None
    expires_in: ExpiresIn | None = None
    allow_query: AllowQuery = True
    allowed_ips: Networks = []
    rate_limit: RateLimit | None = None
    metadata: Metadata = {}
    self_rotation: SelfRotation = False

    def to_request(self) -> TokenRequest:
        """Return the fields, not validated yet. Raise `InvalidValue` if the time is none."""
        return TokenRequest(
            name=self.name,
            description=self.description,
            owner=self.owner,
            scopes=self.scopes,
            lifetime=Lifetime(read_time_field("expires_at", self.expires_at, day="last"), self.expires_in),
            allow_query=self.allow_query,
            allowed_ips=self.allowed_ips,
            rate_limit=self.rate_limit,
            metadata=self.metadata,
            self_rotation=self.self_rotation,
        )


class ChangeToken(Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON merge patch for a token (RFC 7396). It can only reduce what the token may do."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    owner: Owner | UnsetType | None = UNSET
    scopes: Scopes | UnsetType = UNSET
    expires_at: EndTime | UnsetType | None = UNSET
    expires_in: ExpiresIn | UnsetType = UNSET
    allow_query: AllowQuery | UnsetType = UNSET
    allowed_ips: Networks | UnsetType = UNSET
    rate_limit: RateLimit | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET
    self_rotation: SelfRotation | UnsetType = UNSET

    def to_change(self) -> TokenChange:
        """Return the change, not validated yet. Raise `InvalidValue` if the time is none."""
        lifetime: Lifetime | UnsetType = UNSET
        if self.expires_at is not UNSET or self.expires_in is not UNSET:
            end = read_time_field("expires_at", _none_if_unset(self.expires_at), day="last")
            lifetime = Lifetime(end, None if self.expires_in is UNSET else self.expires_in)
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
            self_rotation=self.self_rotation,
        )


def _none_if_unset(value: T | UnsetType) -> T | None:
    return None if value is UNSET else value


class DisableToken(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a token is disabled."""

    reason: Annotated[str, Meta(description="1 to 255 characters")] | None = None

    def to_reason(self) -> str | None:
        """Return the reason. Raise `InvalidValue`."""
        return None if self.reason is None else validate_text("reason", self.reason)


EndOnUse = Annotated[bool, Meta(description="end the older secrets with the first use of the new one")]


class RotateSecret(Struct, frozen=True, forbid_unknown_fields=True):
    """How a new secret replaces the older ones."""

    overlap_s: OverlapS = DEFAULT_OVERLAP_S
    end_on_use: EndOnUse = False

    def to_rotation(self, key: IdempotencyKey | None) -> Rotation:
        """Return the rotation. Raise `InvalidValue`."""
        return new_rotation(self.overlap_s, end_on_use=self.end_on_use, key=key)


class RotateToken(RotateSecret, frozen=True, forbid_unknown_fields=True):
    """How a new secret replaces the older ones, and a new expiry for the token, counted from now, to renew it.

    Without an expiry the token keeps its own. Older secrets never work longer for a new expiry.
    """

    expires_at: EndTime | None = None
    expires_in: ExpiresIn | None = None

    def to_lifetime(self) -> Lifetime | None:
        """Return the new expiry; `None` to keep the current one. Raise `InvalidValue` if the time is none."""
        if self.expires_at is None and self.expires_in is None:
            return None
        return Lifetime(read_time_field("expires_at", self.expires_at, day="last"), self.expires_in)


class RotateHeldToken(Struct, frozen=True, forbid_unknown_fields=True):
    """How a new secret replaces the one that is presented."""

    overlap_s: Annotated[
        int,
        Meta(
            description=f"for how many seconds, 0 to {MAX_HELD_OVERLAP_S}, the presented secret continues to work; "
            "with 0 it ends immediately, so that a lost response cannot be repeated"
        ),
    ] = DEFAULT_OVERLAP_S
    end_on_use: EndOnUse = False

    def to_rotation(self, key: IdempotencyKey | None) -> Rotation:
        """Return the rotation. Raise `InvalidValue`."""
        return new_rotation(self.overlap_s, end_on_use=self.end_on_use, key=key, max_overlap_s=MAX_HELD_OVERLAP_S)


class ListTokens(Struct, frozen=True):
    """Conditions, all of which a token has to meet, the order and the page. A range includes its start, not its end."""

    search: Search | None = None
    status: Statuses | None = None
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
    created_after: StartTime | None = None
    created_before: StartTime | None = None
    used_after: StartTime | None = None
    unused_since: (
        Annotated[
            str,
            Meta(
                description=f"not used since this time, or never: {describe_times('first')}",
                examples=["2027-01-31T00:00:00Z", "2027-01-31"],
                extra_json_schema=time_schema(),
            ),
        ]
        | None
    ) = None
    expires_after: StartTime | None = None
    expires_before: StartTime | None = None
    sort: Annotated[SortKey, Meta(description="the column to sort by")] = "name"
    descending: Annotated[bool, Meta(description="sort in descending order")] = False
    limit: Annotated[int, Meta(ge=1, le=200, description="maximum number of tokens, 1 to 200")] = 100
    cursor: Annotated[str, Meta(description="the `next` of the previous page")] | None = None

    def to_selection(self) -> Selection:
        """Return the selection. Raise `InvalidValue`, or `BadRequest` if a time is none."""
        return new_selection(
            search=self.search,
            statuses=self.status,
            owner=self.owner,
            site=self.site,
            scope=self.scope,
            created_after=query_time("created_after", self.created_after, day="first"),
            created_before=query_time("created_before", self.created_before, day="first"),
            used_after=query_time("used_after", self.used_after, day="first"),
            unused_since=query_time("unused_since", self.unused_since, day="first"),
            expires_after=query_time("expires_after", self.expires_after, day="first"),
            expires_before=query_time("expires_before", self.expires_before, day="first"),
        )
