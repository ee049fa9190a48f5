"""The answer to an introspection (RFC 7662 §2.2) and the grant that a guard reads from it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from types import MappingProxyType
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from shared.contract.scope import Action, Place, Scope, parse_scopes

AUDIENCE: Final = "polls"
"""The `aud` of every access token: the resource that its scopes apply to."""

INTROSPECTION_JWT_TYPE: Final = "token-introspection+jwt"
INTROSPECTION_JWT_MEDIA_TYPE: Final = f"application/{INTROSPECTION_JWT_TYPE}"
"""The media type of a signed introspection response (RFC 9701), for Accept and Content-Type."""


class Inactive(msgspec.Struct, frozen=True):
    """The whole answer for a token that is unknown, expired, revoked or malformed: `{"active": false}`."""

    active: bool = False


class Active(msgspec.Struct, frozen=True, omit_defaults=True):
    """A token that works. Times are in seconds since 1970 (RFC 7519 §2); a token without `exp` never expires.

    `client_id` is the token's id: every access token is a client of its own. So is `sub`, because a token acts for
    itself and not for a person. `username` is the owner, if the token has one: a text for people, not the name of an
    account. An older authority sends neither of the two. `jti` is the id of the presented secret: a token has two
    working secrets while it is rotated. `as_of` is the `seq` of the newest change that the authority
    knew of when it read the token.

    If `allow_query` is false, the token must not be sent in a URL. If `allowed_ips` is not empty, the token works only
    from these networks, in CIDR notation. `rate_limit` is in requests per minute. `metadata` is for the services.
    `authorization_details` has the content of `scope` as objects (RFC 9396).
    """

    active: bool
    scope: str
    client_id: str
    token_type: str
    iat: int
    iss: str
    aud: str
    jti: str
    site: str
    endpoint_id: str
    as_of: int
    sub: str | None = None
    username: str | None = None
    exp: int | None = None
    allow_query: bool = True
    allowed_ips: list[str] = []
    rate_limit: Annotated[int, Meta(ge=1)] | None = None
    metadata: dict[str, Any] = {}
    authorization_details: list[dict[str, Any]] = []


class IntrospectionClaims(msgspec.Struct, frozen=True):
    """The claims of a signed introspection response (RFC 9701 §5).

    `aud` is the client id of the service that sent the request; `token_introspection` is the response in JSON.
    """

    iss: str
    aud: str
    iat: int
    token_introspection: msgspec.Struct


@dataclass(frozen=True, slots=True)
class Grant:
    """What an active token allows, as of the change `as_of` of the log. It does not contain the token itself.

    `secret_id` is the id of the presented secret. `expires_at_s` is in seconds since 1970. `rate_limit` is in requests
    per minute. `metadata` is deeply read-only.
    """

    token_id: str
    secret_id: str
    site: str
    endpoint_id: str
    scopes: tuple[Scope, ...]
    expires_at_s: float
    as_of: int
    allow_query: bool = True
    allowed_ips: tuple[IPv4Network | IPv6Network, ...] = ()
    rate_limit: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=lambda: _NO_METADATA)

    @classmethod
    def read(cls, body: bytes) -> "Grant | None":
        """Read an introspection answer. Return `None` if the token is not active or is for another audience.

        Raise `ValueError` if the answer is invalid; the guard must then refuse the request.
        """
        if not msgspec.json.decode(body, type=_Activity).active:
            return None
        answer = msgspec.json.decode(body, type=Active)
        if answer.aud != AUDIENCE:
            return None
        return cls(
            token_id=answer.client_id,
            secret_id=answer.jti,
            site=sys.intern(answer.site),
            endpoint_id=sys.intern(answer.endpoint_id),
            scopes=parse_scopes(answer.scope),
            expires_at_s=float("inf") if answer.exp is None else answer.exp,
            as_of=answer.as_of,
            allow_query=answer.allow_query,
            allowed_ips=tuple(map(ip_network, answer.allowed_ips)),
            rate_limit=answer.rate_limit,
            metadata=_read_only(answer.metadata) if answer.metadata else _NO_METADATA,
        )

    @property
    def is_restricted(self) -> bool:
        """Whether it matters how, from where and how often the token is sent."""
        return not self.allow_query or self.rate_limit is not None or bool(self.allowed_ips)

    def covers(self, action: Action, place: Place) -> bool:
        """Return whether one of the scopes allows `action` at `place`."""
        for scope in self.scopes:  # noqa: SIM110 - a generator is slower, and every request runs this
            if scope.covers(action, place):
                return True
        return False

    def works_from(self, address: IPv4Address | IPv6Address | None) -> bool:
        """Return whether the token may be sent from `address`. If it is unknown, require no `allowed_ips`."""
        if not self.allowed_ips:
            return True
        return address is not None and any(address in network for network in self.allowed_ips)


_NO_METADATA: Final[Mapping[str, Any]] = MappingProxyType({})
"""Shared by all grants without metadata: a guard caches many."""


class _Activity(msgspec.Struct):
    active: bool


def _read_only(value: Any) -> Any:
    """Return a deeply read-only copy of a JSON value, since all requests with a token share its metadata."""
    if isinstance(value, dict):
        return MappingProxyType({name: _read_only(each) for name, each in value.items()})
    return tuple(map(_read_only, value)) if isinstance(value, list) else value
