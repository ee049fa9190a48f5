"""What may be changed of a token in use: what is said of it freely, what it may do only to less."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from services.token_authority.domain.errors import TokenEnded, Widening
from services.token_authority.domain.token import Token
from services.token_authority.domain.token_fields import (
    Lifetime,
    checked_description,
    checked_metadata,
    checked_networks,
    checked_rate,
    checked_scopes,
    checked_text,
)
from shared.contract.scope import find_excess_scope

Network = IPv4Network | IPv6Network
ChangeKind = Literal["narrowed", "updated"]

_SAID = ("metadata",)
_ALLOWED = ("scopes", "allow_query", "allowed_ips", "rate_limit", "expires_at")


class TokenChange(Struct, frozen=True, kw_only=True):
    """New values for some fields, not yet checked; what is `UNSET` stays."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    owner: str | UnsetType | None = UNSET
    scopes: Sequence[str] | UnsetType = UNSET
    lifetime: Lifetime | UnsetType = UNSET
    allow_query: bool | UnsetType = UNSET
    allowed_ips: Sequence[str] | UnsetType = UNSET
    rate_limit: int | UnsetType | None = UNSET
    metadata: Mapping[str, Any] | UnsetType = UNSET


class Changed(Struct, frozen=True):
    """The token after a change, and which of its fields were given, also where they had that value before."""

    token: Token
    fields: tuple[str, ...]

    @property
    def kind(self) -> ChangeKind | None:
        """How guards are told of it; `None` where it is nothing to them."""
        if any(field in _ALLOWED for field in self.fields):
            return "narrowed"
        return "updated" if any(field in _SAID for field in self.fields) else None


def change(token: Token, asked: TokenChange, now: datetime) -> Changed:
    """The token as asked. Raises `InvalidValue`, `Widening` where it would be allowed more, and `TokenEnded`."""
    if token.status(now) in ("revoked", "expired"):
        raise TokenEnded
    values = _checked(asked, now)
    _require_less(token, values)
    return Changed(msgspec.structs.replace(token, **values), tuple(values))


def _checked(asked: TokenChange, now: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if asked.name is not UNSET:
        values["name"] = checked_text("name", asked.name)
    if asked.description is not UNSET:
        values["description"] = checked_description(asked.description)
    if asked.owner is not UNSET:
        values["owner"] = None if asked.owner is None else checked_text("owner", asked.owner)
    if asked.metadata is not UNSET:
        values["metadata"] = checked_metadata(asked.metadata)
    return values | _checked_limits(asked, now)


def _checked_limits(asked: TokenChange, now: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if asked.scopes is not UNSET:
        values["scopes"] = checked_scopes(asked.scopes)
    if asked.lifetime is not UNSET:
        values["expires_at"] = asked.lifetime.end(now, None)
    if asked.allow_query is not UNSET:
        values["allow_query"] = asked.allow_query
    if asked.allowed_ips is not UNSET:
        values["allowed_ips"] = checked_networks(asked.allowed_ips)
    if asked.rate_limit is not UNSET:
        values["rate_limit"] = checked_rate(asked.rate_limit)
    return values


def _require_less(token: Token, values: Mapping[str, Any]) -> None:
    over = find_excess_scope(values.get("scopes", ()), token.scopes)
    if over is not None:
        raise Widening(("scopes",), f"'{over}' is more than the token has; make a new token for that")
    if "expires_at" in values and token.expires_at is not None:
        end = values["expires_at"]
        if end is None or end > token.expires_at:
            raise Widening(("expires_at",), "a token can only end earlier than before; make a new one for later")
    if values.get("allow_query") and not token.allow_query:
        raise Widening(("allow_query",), "a token that is for the header alone stays so; make a new token")
    if "rate_limit" in values and token.rate_limit is not None:
        rate = values["rate_limit"]
        if rate is None or rate > token.rate_limit:
            raise Widening(("rate_limit",), "a rate limit can only be lowered; make a new token for a higher one")
    if "allowed_ips" in values and token.allowed_ips and not _within(values["allowed_ips"], token.allowed_ips):
        raise Widening(("allowed_ips",), "a network is not within those of the token; make a new token for that")


def _within(networks: Sequence[str], limits: Sequence[str]) -> bool:
    outer = [ip_network(limit) for limit in limits]
    return bool(networks) and all(any(_is_part(ip_network(each), limit) for limit in outer) for each in networks)


def _is_part(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
