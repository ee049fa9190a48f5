"""The sync, by which a guard receives every change, reports what it has applied, and renews its lease.

`POST /v1/guards/{guard_id}/sync`, authenticated as a service, takes a `SyncRequest` and returns a `SyncAnswer`.
`DELETE /v1/guards/{guard_id}` gives the lease back.
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.contract.change import MAX_SEQ, Change

MAX_USES_ACCEPTED: Final = 500
"""Uses that the authority accepts per sync. A guard sends fewer, so that the longest ones fit into 64 KiB."""
MAX_CHANGES_PER_SYNC: Final = 5000
"""If a guard lacks more changes than this, the authority answers with `resync`."""
MAX_UNCONFIRMED: Final = 200
"""A guard that has applied as many pushed changes since its last successful sync waits for the next one."""
MAX_SYNC_BYTES: Final = 128 * 1024
"""Enough for the uses and the unconfirmed changes of one sync, each of the greatest length."""
MAX_COUNT: Final = 2**31
CLOCK_RATE_MARGIN: Final = 0.02
"""The fraction of a lease by which the authority waits longer than the guard uses it: clock rates may differ by it."""


def revocation_bound_s(lease_s: float) -> float:
    """Return the longest time that a revocation waits for an unreachable guard, for leases of this length."""
    return lease_s * (1 + CLOCK_RATE_MARGIN)


class TokenUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often requests with one secret of a token were let through and refused since the last successful sync.

    `refusals` counts requests whose token works but was refused for its scopes, rate limit, presentation or address.
    `last_used_ms_ago` is the age of the last use, or of the last refusal if there was no use. `last_address` and
    `last_user_agent` are from where the last use came; an earlier release neither sends nor reads them.
    """

    token_id: str
    secret_id: str
    uses: Annotated[int, Meta(ge=0, le=MAX_COUNT)]
    refusals: Annotated[int, Meta(ge=0, le=MAX_COUNT)]
    last_used_ms_ago: Annotated[int, Meta(ge=0, le=2**53)]
    last_address: str | None = None
    last_user_agent: str | None = None


class SyncRequest(msgspec.Struct, frozen=True):
    """The state of a guard. It has applied every change up to and including `applied`; null if it has just started.

    `last` is the newest change with a receipt that it has applied. `unconfirmed` has every change that it has applied
    since its last successful sync, and before them the newest one that this sync has confirmed. The authority compares
    each with its log: a log that was restored may count on with other changes under the same numbers, and `last` alone
    would not show it. An authority of the release before reads neither.
    """

    applied: Annotated[int, Meta(ge=0, le=MAX_SEQ)] | None
    usage: Annotated[list[TokenUse], Meta(max_length=MAX_USES_ACCEPTED)] = []
    last: Change | None = None
    unconfirmed: Annotated[list[Change], Meta(max_length=MAX_UNCONFIRMED)] = []


class SyncAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Every change after `applied`, up to and including `head`, and a lease that counts from when the guard asked.

    `resync` is true if the log cannot take the guard from `applied` to `head`. The answer then carries no changes: the
    guard drops everything it has cached, and has thereby applied `head`.

    `last` is the newest change of the log, with its receipt. An authority of the release before does not send it.

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
    last: Change | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` if the answer has neither `resync` nor `afresh`."""
        if self.resync is UNSET and self.afresh is UNSET:
            raise ValueError("a sync answer needs `resync`")

    @property
    def requires_reset(self) -> bool:
        """Whether the guard has to drop everything it has cached."""
        return self.resync is True or self.afresh is True
