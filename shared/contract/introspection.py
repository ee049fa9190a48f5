"""The answer to an introspection (RFC 7662 §2.2) and the grant that a guard reads from it."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from shared.contract.scope import Action, Place, Scope, parse_scopes

AUDIENCE: Final = "polls"
"""The `aud` of every access token: the resource that its scopes speak of."""


class Inactive(msgspec.Struct, frozen=True):
    """All that is said of a token that is unknown, expired, revoked or malformed: `{"active": false}`."""

    active: bool = False


class Active(msgspec.Struct, frozen=True, omit_defaults=True):
    """A token that works. Times are whole seconds since 1970 (RFC 7519 §2); a token without `exp` never expires.

    `client_id` is the token's id: every access token is a client of its own. `jti` is the id of the secret by which it
    was presented, of which a token has two while it is rotated. `allowed_ips` are networks, none for everywhere;
    `rate_limit` is in requests a minute; `authorization_details` say what `scope` says as objects (RFC 9396). `as_of`
    is the `seq` of the newest change that the authority knew of when it read the token.
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
    exp: int | None = None
    allow_query: bool = True
    allowed_ips: list[str] = []
    rate_limit: int | None = None
    metadata: dict[str, Any] = {}
    authorization_details: list[dict[str, Any]] = []


@dataclass(frozen=True, slots=True)
class Grant:
    """What a guard knows of an active token as of a change of the log; never the token itself."""

    token_id: str
    site: str
    endpoint_id: str
    scopes: tuple[Scope, ...]
    expires_at_s: float
    as_of: int

    @classmethod
    def read(cls, body: bytes) -> "Grant | None":
        """Read an introspection answer; `None` where the token is not active.

        Raises `ValueError` where the answer is not one: a guard then knows nothing and must refuse.
        """
        if not msgspec.json.decode(body, type=_Activity).active:
            return None
        answer = msgspec.json.decode(body, type=Active)
        if answer.aud != AUDIENCE:
            return None
        return cls(
            token_id=answer.client_id,
            site=answer.site,
            endpoint_id=answer.endpoint_id,
            scopes=parse_scopes(answer.scope),
            expires_at_s=float("inf") if answer.exp is None else answer.exp,
            as_of=answer.as_of,
        )

    def covers(self, action: Action, place: Place) -> bool:
        """Whether one of the scopes allows `action` at `place`."""
        return any(scope.covers(action, place) for scope in self.scopes)


class _Activity(msgspec.Struct):
    active: bool
