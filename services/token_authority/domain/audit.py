"""What is put on record of a change: who made it, to what, and what was so before and after."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct

from services.token_authority.domain.actor import Actor
from shared.contract.audit import AuditRecord


class Entry(Struct, frozen=True):
    """One change to one thing. `before` and `after` hold what has changed, never a secret."""

    actor: Actor
    action: str
    subject: str
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}


def records(entries: Iterable[Entry], after: tuple[int, str], at: datetime) -> Iterator[AuditRecord]:
    """The entries as the records that follow the one of this `seq` and hash."""
    seq, previous = after
    for entry in entries:
        seq += 1
        record = AuditRecord(
            seq=seq,
            at=at,
            actor=entry.actor.kind,
            actor_id=entry.actor.id,
            address=entry.actor.address,
            request_id=entry.actor.request_id,
            action=entry.action,
            subject=entry.subject,
            before=entry.before,
            after=entry.after,
            previous=previous,
        ).with_hash()
        previous = record.hash
        yield record
