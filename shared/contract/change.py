"""Changes of tokens: rows of the change log that every guard receives, by push or by sync.

A push is a Security Event Token (RFC 8417): a JWT of type `secevent+jwt`, signed with EdDSA by a key of the authority's
`/.well-known/jwks.json`. It carries one or more rows, in order, under the event `CHANGES_EVENT`.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

CHANGES_EVENT: Final = "urn:pollgate:event:changes"
SET_TYPE: Final = "secevent+jwt"
SET_AUDIENCE: Final = "urn:pollgate:guards"
SIGNATURE_ALGORITHM: Final = "EdDSA"
MAX_SEQ: Final = 2**53


class Change(msgspec.Struct, frozen=True):
    """One row of the change log. `seq` grows by one in commit order; `digest` is the token's SHA-256 in hex.

    `kind` names the change, such as `revoked`. A guard drops the token from its cache for any kind, so it also accepts
    kinds of a newer authority that it does not know.
    """

    seq: Annotated[int, Meta(ge=1, le=MAX_SEQ)]
    kind: str
    token_id: str
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Changes(msgspec.Struct, frozen=True):
    """The rows of one push."""

    changes: list[Change]


class PushedEvents(msgspec.Struct, frozen=True):
    """The `events` claim of a push (RFC 8417 §2.2)."""

    changes: Changes = msgspec.field(name=CHANGES_EVENT)


class PushClaims(msgspec.Struct, frozen=True):
    """The claims of a push.

    `iat` is in seconds since 1970. `toe_ms` is the time of the oldest row, in milliseconds since 1970.
    """

    iss: str
    aud: str
    iat: int
    jti: str
    toe_ms: int
    events: PushedEvents
