"""Changes to a token in use: its description may change freely, its permissions only be reduced.

Only a rotation may set a later expiry, because it comes with a new secret.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from services.token_authority.domain.errors import TokenEnded, Widening
from services.token_authority.domain.lease import PendingChange
from services.token_authority.domain.secret import MintedSecret
from services.token_authority.domain.token import Token
from services.token_authority.domain.token_fields import (
    Lifetime,
    validate_description,
    validate_metadata,
    validate_networks,
    validate_rate_limit,
    validate_scopes,
    validate_text,
)
from shared.contract.scope import find_excess_scope

Network = IPv4Network | IPv6Network
ChangeKind = Literal["narrowed", "updated"]

_DESCRIPTIVE = ("metadata",)
"""Fields that guards pass on to services."""
_PERMISSIONS = ("scopes", "allow_query", "allowed_ips", "rate_limit", "expires_at")


class TokenChange(Struct, frozen=True, kw_only=True):
    """New values for some fields, not validated yet. A field that is `UNSET` keeps its value."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    owner: str | UnsetType | None = UNSET
    scopes: Sequence[str] | UnsetType = UNSET
    lifetime: Lifetime | UnsetType = UNSET
    allow_query: bool | UnsetType = UNSET
    allowed_ips: Sequence[str] | UnsetType = UNSET
    rate_limit: int | UnsetType | None = UNSET
    metadata: Mapping[str, Any] | UnsetType = UNSET
    self_rotation: bool | UnsetType = UNSET


class ChangedToken(Struct, frozen=True):
    """A token after a committed change; `pending` is `None` if the change does not concern guards."""

    token: Token
    pending: PendingChange | None


class BulkDisabling(Struct, frozen=True):
    """The tokens that were disabled, how many were left as they are, and the changes that may be pending."""

    disabled: Sequence[Token]
    skipped: int
    pending: Sequence[PendingChange]


class RotatedToken(Struct, frozen=True):
    """A token with its new secret, and when the last of the older ones ends."""

    token: Token
    minted: MintedSecret
    old_secrets_end_at: datetime | None
    pending: PendingChange | None


class Renewal(NamedTuple):
    """The expiry of a token before and after a rotation that sets it; `None` is never."""

    old_end: datetime | None
    new_end: datetime | None

    @property
    def old_fields(self) -> dict[str, Any]:
        """The changed field before, for the audit log."""
        return {"expires_at": msgspec.to_builtins(self.old_end)}

    @property
    def new_fields(self) -> dict[str, Any]:
        """The changed field after, for the audit log."""
        return {"expires_at": msgspec.to_builtins(self.new_end)}


class AppliedChange(Struct, frozen=True):
    """A token after a change, and the fields that the change set, even to the value they had."""

    token: Token
    fields: tuple[str, ...]

    @property
    def kind(self) -> ChangeKind | None:
        """The kind of the change in the change log; `None` if it does not concern guards."""
        if any(field in _PERMISSIONS for field in self.fields):
            return "narrowed"
        return "updated" if any(field in _DESCRIPTIVE for field in self.fields) else None


def apply_change(token: Token, requested: TokenChange, now: datetime) -> AppliedChange:
    """Return the token after the change. Raise `InvalidValue`, `Widening` or `TokenEnded`."""
    require_alive(token, now)
    values = _validate(requested, now)
    by_duration = requested.lifetime is not UNSET and requested.lifetime.expires_in is not None
    require_no_widening(token, values, end_field="expires_in" if by_duration else "expires_at")
    return AppliedChange(msgspec.structs.replace(token, **values), tuple(values))


def require_alive(token: Token, now: datetime) -> None:
    """Raise `TokenEnded` if the token is revoked or has expired."""
    status = token.status(now)
    if status == "revoked":
        raise TokenEnded("The token is revoked, permanently. Issue a new token instead.")
    if status == "expired":
        raise TokenEnded(
            "The token has expired. To renew it, rotate it with a new `expires_in` or `expires_at`, or issue a new one."
        )


def renew(token: Token, lifetime: Lifetime | None, now: datetime, max_lifetime: timedelta | None) -> Renewal | None:
    """Return the expiry that a rotation sets, counted from `now`; `None` without a lifetime.

    Raise `InvalidValue`, or `TokenEnded` for a token that is revoked, or has expired and gets no new expiry.
    """
    if lifetime is None or token.status(now) == "revoked":
        require_alive(token, now)
        return None
    return Renewal(token.expires_at, lifetime.compute_expiry(now, max_lifetime))


def _validate(requested: TokenChange, now: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if requested.name is not UNSET:
        values["name"] = validate_text("name", requested.name)
    if requested.description is not UNSET:
        values["description"] = validate_description(requested.description)
    if requested.owner is not UNSET:
        values["owner"] = None if requested.owner is None else validate_text("owner", requested.owner)
    if requested.metadata is not UNSET:
        values["metadata"] = validate_metadata(requested.metadata)
    if requested.self_rotation is not UNSET:
        values["self_rotation"] = requested.self_rotation
    return values | _validate_permissions(requested, now)


def _validate_permissions(requested: TokenChange, now: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if requested.scopes is not UNSET:
        values["scopes"] = validate_scopes(requested.scopes)
    if requested.lifetime is not UNSET:
        values["expires_at"] = requested.lifetime.compute_expiry(now, None)
    if requested.allow_query is not UNSET:
        values["allow_query"] = requested.allow_query
    if requested.allowed_ips is not UNSET:
        values["allowed_ips"] = validate_networks(requested.allowed_ips)
    if requested.rate_limit is not UNSET:
        values["rate_limit"] = validate_rate_limit(requested.rate_limit)
    return values


def require_no_widening(token: Token, values: Mapping[str, Any], *, end_field: str) -> None:
    """Raise `Widening` if one of these validated values allows more than the token does."""
    over = find_excess_scope(values.get("scopes", ()), token.scopes)
    if over is not None:
        raise Widening(("scopes",), f"'{over}' is beyond the scopes of the token; issue a new token instead")
    if "expires_at" in values and token.expires_at is not None:
        end = values["expires_at"]
        if end is None or end > token.expires_at:
            raise Widening((end_field,), "must not be later than the current expiry; rotate the token to renew it")
    if values.get("allow_query") and not token.allow_query:
        raise Widening(("allow_query",), "must stay false; issue a new token instead")
    if "rate_limit" in values and token.rate_limit is not None:
        rate = values["rate_limit"]
        if rate is None or rate > token.rate_limit:
            raise Widening(("rate_limit",), "must not be higher than the current limit; issue a new token instead")
    if "allowed_ips" in values and token.allowed_ips and not _are_within(values["allowed_ips"], token.allowed_ips):
        raise Widening(("allowed_ips",), "must be within the current networks; issue a new token instead")


def _are_within(networks: Sequence[str], limits: Sequence[str]) -> bool:
    outer = [ip_network(limit) for limit in limits]
    return bool(networks) and all(any(_is_subnet(ip_network(each), limit) for limit in outer) for each in networks)


def _is_subnet(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
