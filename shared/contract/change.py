"""What becomes of tokens, as the authority tells every guard: rows of the change log, pushed or asked for.

A push is a Security Event Token (RFC 8417): a JWT of type `secevent+jwt`, signed with EdDSA by a key of the authority's
`/.well-known/jwks.json`, that carries some rows in order under the event `CHANGES_EVENT`.
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

    `kind` says what has become of the token, such as `revoked`. A guard forgets the token whatever it says, so that one
    it does not know, of a newer authority, is no reason to fail.
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
    """The claims of a push. `iat` is whole seconds since 1970; `toe_ms` says when the oldest row was recorded."""

    iss: str
    aud: str
    iat: int
    jti: str
    toe_ms: int
    events: PushedEvents
