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
EPOCH_SIZE: Final = 2**32
"""Numbers per epoch. A log that starts again after a restore does so in the next epoch, above every number before."""
MAX_RECEIPT_LENGTH: Final = 128


def epoch_of(seq: int) -> int:
    """Return the epoch of a change: the upper part of its number."""
    return seq // EPOCH_SIZE


def first_seq_after(seq: int) -> int:
    """Return the first number of the epoch after that of `seq`."""
    return (epoch_of(seq) + 1) * EPOCH_SIZE


class Change(msgspec.Struct, frozen=True):
    """What a guard receives of a row of the change log: `seq` grows by one in commit order within an epoch; `digest` is
    the SHA-256 of a secret, in hex, that may no longer work as before.

    `receipt` proves that this change was in the log: only the authority can make it. A guard stores it and sends it
    back, so that the authority notices if its database has gone back to an earlier state. A release before this one
    neither sends nor reads it.

    All guards receive all changes, also those of services that see only some sites. So a change says neither which
    token it is about nor what has happened to it. A guard of the previous release requires `kind` and `token_id`, and
    reads neither; an authority of that release filled them in. They go with the next release.
    """

    seq: Annotated[int, Meta(ge=1, le=MAX_SEQ)]
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    kind: str = "changed"
    token_id: str = ""
    receipt: Annotated[str, Meta(max_length=MAX_RECEIPT_LENGTH)] = ""


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
