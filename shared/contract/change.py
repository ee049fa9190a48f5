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
    """What a guard receives of a row of the change log: `seq` grows by one in commit order; `digest` is the SHA-256 of
    a secret, in hex, that may no longer work as before.

    All guards receive all changes, also those of services that see only some sites. So a change says neither which
    token it is about nor what has happened to it. A guard of the previous release requires `kind` and `token_id`, and
    reads neither; an authority of that release filled them in. They go with the next release.
    """

    seq: Annotated[int, Meta(ge=1, le=MAX_SEQ)]
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    kind: str = "changed"
    token_id: str = ""


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
