"""The sync: how a guard learns every change, tells what it has applied, and renews its lease.

`POST /v1/guards/{guard_id}/sync` as a service, with a `SyncRequest`, answers a `SyncAnswer`.
`DELETE /v1/guards/{guard_id}` gives the lease back.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from shared.contract.change import MAX_SEQ, Change

MAX_USES_A_SYNC: Final = 500
"""That are taken; a guard tells half as many at a time, so that the longest of them fit into a body of 64 KiB."""
MAX_CHANGES_A_SYNC: Final = 5000
"""A guard that lacks more changes than these is told to start afresh."""
MAX_COUNT: Final = 2**31
CLOCK_RATE_MARGIN: Final = 0.02
"""By how much of a lease the authority waits longer than the guard uses it: clocks may tick this differently."""


def revocation_bound_s(lease_s: float) -> float:
    """How long a revocation waits at most for a guard that is cut off, under leases of this length."""
    return lease_s * (1 + CLOCK_RATE_MARGIN)


class TokenUse(msgspec.Struct, frozen=True):
    """How often a token was let through by one of its secrets, and refused, since the last sync that succeeded.

    Refused is a request with a token that works, for its scopes, its limit, or how or from where it was sent.
    `last_used_ms_ago` is of the last refusal where there was no use.
    """

    token_id: str
    secret_id: str
    uses: Annotated[int, Meta(ge=0, le=MAX_COUNT)]
    refusals: Annotated[int, Meta(ge=0, le=MAX_COUNT)]
    last_used_ms_ago: Annotated[int, Meta(ge=0, le=2**53)]


class SyncRequest(msgspec.Struct, frozen=True):
    """`applied` is the highest `seq` up to which the guard has taken every change in; null where it begins."""

    applied: Annotated[int, Meta(ge=0, le=MAX_SEQ)] | None
    usage: Annotated[list[TokenUse], Meta(max_length=MAX_USES_A_SYNC)] = []


class SyncAnswer(msgspec.Struct, frozen=True):
    """All that has changed after `applied`, up to `head`, and a lease that counts from when the guard asked.

    With `afresh` no changes come along: the guard forgets all it knows, and has thereby applied `head`.
    """

    head: Annotated[int, Meta(ge=0, le=MAX_SEQ)]
    lease_ms: Annotated[int, Meta(ge=1, le=3_600_000)]
    afresh: bool
    changes: list[Change]
    issuer: str
