"""The audit trail of a poll: which token has created, changed, shared and deleted it, as a chain of records.

Each record has the hash of the one before. Casting and withdrawing ballots are acts of participants and
leave no record, nor does a personal link.
"""

from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import quote
from uuid import UUID

from msgspec import Struct

from services.polls.domain.errors import TooManyEdits
from services.polls.domain.state import PollState
from shared.contract.audit import NO_HASH, AuditRecord
from shared.contract.scope import Place

AuditAction = Literal[
    "poll.create", "poll.change", "poll.close", "poll.reopen", "poll.delete", "link.create", "link.revoke"
]


class Actor(Struct, frozen=True):
    """The token that makes a change, and where its request came from."""

    token_id: str
    address: str | None = None
    request_id: str | None = None


MAX_CHANGES_PER_DAY: Final = 1_000
"""The limit of records of one poll. They are kept permanently, so a token must not be able to add many."""


class AuditHead(Struct, frozen=True):
    """The last record of the trail of a poll, by its `seq` and hash.

    `limit_at` is the time of the record that is `MAX_CHANGES_PER_DAY` from the end, without those of links, if there
    is one.
    """

    seq: int = 0
    hash: str = NO_HASH
    limit_at: datetime | None = None

    def require_room(self, now: datetime) -> None:
        """Raise `TooManyEdits` if the poll was changed as often within a day as it may be."""
        if self.limit_at is not None and now - self.limit_at < timedelta(days=1):
            raise TooManyEdits


def audit_record(
    action: AuditAction, state: PollState, head: AuditHead, actor: Actor, before: dict[str, Any], after: dict[str, Any]
) -> AuditRecord:
    """Return the record that follows `head`. Its time is that of the state; `before` and `after` have what changed."""
    return AuditRecord(
        seq=head.seq + 1,
        at=state.at,
        actor="token",
        actor_id=actor.token_id,
        address=actor.address,
        request_id=actor.request_id,
        action=action,
        subject=subject_of(state.poll.id, state.poll.place),
        before=before,
        after=after,
        previous=head.hash,
    ).with_hash()


def action_of(before: PollState, after: PollState) -> AuditAction:
    """Return what an edit was: a closing, a reopening, or another change."""
    if before.is_closed == after.is_closed:
        return "poll.change"
    return "poll.close" if after.is_closed else "poll.reopen"


def subject_of(poll_id: UUID, place: Place) -> str:
    """Return the subject of the records of a poll: its place, as in the selector of a scope, and its id."""
    return "poll:" + "/".join([*(quote(segment, safe="") for segment in place.path), str(poll_id)])
