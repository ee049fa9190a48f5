"""The sync: how a guard learns every change, tells what it has applied, and renews its lease.

`POST /v1/guards/{guard_id}/sync` as a service, with a `SyncRequest`, answers a `SyncAnswer`.
`DELETE /v1/guards/{guard_id}` gives the lease back.
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.contract.change import MAX_SEQ, Change

MAX_USES_ACCEPTED: Final = 500
"""That are taken; a guard tells half as many at a time, so that the longest of them fit into a body of 64 KiB."""
MAX_CHANGES_PER_SYNC: Final = 5000
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
    usage: Annotated[list[TokenUse], Meta(max_length=MAX_USES_ACCEPTED)] = []


class SyncAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Every change after `applied`, up to and including `head`, and a lease that counts from when the guard asked.

    `resync` is true if the log cannot take the guard from `applied` to `head`. The answer then carries no changes: the
    guard drops everything it has cached, and has thereby applied `head`.

    `afresh` is the name that `resync` had in the previous release. For one release the authority sends both with the
    same value, and a guard resets if either is true. So a guard of the previous release works with this authority, and
    this guard with an authority of the previous release. A guard that ignored the field would keep grants of revoked
    tokens, so an answer with neither field is invalid. `afresh` goes with the next release.
    """

    head: Annotated[int, Meta(ge=0, le=MAX_SEQ)]
    lease_ms: Annotated[int, Meta(ge=1, le=3_600_000)]
    resync: bool | UnsetType = UNSET
    afresh: bool | UnsetType = UNSET
    changes: list[Change]
    issuer: str

    def __post_init__(self) -> None:
        """Raise `ValueError` if the answer has neither `resync` nor `afresh`."""
        if self.resync is UNSET and self.afresh is UNSET:
            raise ValueError("a sync answer needs `resync`")

    @property
    def requires_reset(self) -> bool:
        """Whether the guard has to drop everything it has cached."""
        return self.resync is True or self.afresh is True
