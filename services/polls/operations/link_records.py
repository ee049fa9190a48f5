"""Append records of shared links to the audit trail of their poll."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from services.polls.domain.audit import Actor, AuditHead, audit_record
from services.polls.domain.link import Link
from services.polls.domain.state import PollState
from services.polls.storage import audit
from shared.runtime.postgres.database import Connection

MAX_LINKS_IN_RECORD: Final = 100


async def record_creation(
    connection: Connection, site: str, state: PollState, head: AuditHead, actor: Actor, link: Link
) -> None:
    """Append the record of a new link to the trail of a poll that this transaction has locked."""
    limits = {
        "label": link.label,
        "expiresAt": None if link.expires_at is None else link.expires_at.isoformat(),
        "maxParticipants": link.max_participants,
        "maxPerAddress": link.max_per_address,
    }
    record = audit_record("link.create", state, head, actor, before={}, after={"links": {str(link.id): limits}})
    await audit.append_audit(connection, site, state.poll, record)


async def record_revocation(
    connection: Connection, site: str, state: PollState, head: AuditHead, actor: Actor, link_ids: Sequence[UUID]
) -> None:
    """Append the record of revoked links to the trail of a poll that this transaction has locked."""
    shown = [str(link_id) for link_id in link_ids[:MAX_LINKS_IN_RECORD]]
    before = {"links": dict.fromkeys(shown, "active")}
    after = {"links": dict.fromkeys(shown, "revoked"), "count": len(link_ids)}
    await audit.append_audit(
        connection, site, state.poll, audit_record("link.revoke", state, head, actor, before, after)
    )
