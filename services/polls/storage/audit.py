"""The audit trails of polls in PostgreSQL: append-only, one chain per poll, kept after the poll is deleted.

A record is appended in the transaction that locks the poll and changes it, so trails of different polls do not wait for
each other.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from services.polls.domain.poll import Poll
from shared.contract.audit import AuditRecord, column_values, read_columns
from shared.contract.scope import Place
from shared.runtime.postgres.database import Connection

INSERT_AUDIT: Final = """
    INSERT INTO polls.audit_log (
        site, poll_id, workspace, content, container,
        seq, at, actor_kind, actor_id, address, request_id, action, subject, before, after, previous, hash
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, decode($16, 'hex'), decode($17, 'hex'))
"""
"""The part of a statement that appends a record, with the parameters `audit_values`."""
_INSERT: Final = f"""
    -- insert_audit: the next record of the trail of a poll
    {INSERT_AUDIT}
"""
_SELECT: Final = """
    -- select_audit: a page of the trail of a poll, oldest first
    SELECT seq, at, actor_kind AS actor, actor_id, address, request_id, action, subject, before, after,
           encode(previous, 'hex') AS previous, encode(hash, 'hex') AS hash
    FROM polls.audit_log
    WHERE site = $1 AND poll_id = $2 AND seq > $3
    ORDER BY seq LIMIT $4
"""
_SELECT_NEWEST: Final = """
    -- select_newest_audit: the last records of the trail of a poll, newest first
    SELECT seq, at, actor_kind AS actor, actor_id, address, request_id, action, subject, before, after,
           encode(previous, 'hex') AS previous, encode(hash, 'hex') AS hash
    FROM polls.audit_log
    WHERE site = $1 AND poll_id = $2
    ORDER BY seq DESC LIMIT $3
"""
_SELECT_TIME_FROM_END: Final = """
    -- select_audit_time: when the record of an action was appended that is so many from the end of the trail of a poll
    SELECT at FROM polls.audit_log WHERE poll_id = $1 AND action = $2 ORDER BY seq DESC OFFSET $3 - 1 LIMIT 1
"""
_SELECT_PLACE: Final = """
    -- select_audited_place: the place of a poll that exists, or that has a trail
    SELECT workspace, content, container FROM polls.poll WHERE site = $1 AND id = $2
    UNION ALL
    (SELECT workspace, content, container FROM polls.audit_log WHERE site = $1 AND poll_id = $2 LIMIT 1)
    LIMIT 1
"""


async def append_audit(connection: Connection, site: str, poll: Poll, record: AuditRecord) -> None:
    """Append a record to the trail of a poll that this transaction has locked."""
    await connection.execute(_INSERT, *audit_values(site, poll, record))


def audit_values(site: str, poll: Poll, record: AuditRecord) -> tuple[object, ...]:
    """Return the parameters of `INSERT_AUDIT`."""
    place = poll.place
    return (site, poll.id, place.workspace, place.content, place.container, *column_values(record))


async def select_audit(connection: Connection, site: str, poll_id: UUID, after: int, limit: int) -> list[AuditRecord]:
    """Return up to `limit` records of the trail of a poll, after a `seq`."""
    return [read_columns(row) for row in await connection.fetch(_SELECT, site, poll_id, after, limit)]


async def select_newest_audit(connection: Connection, site: str, poll_id: UUID, limit: int) -> list[AuditRecord]:
    """Return the last records of the trail of a poll, up to `limit`, the newest first."""
    return [read_columns(row) for row in await connection.fetch(_SELECT_NEWEST, site, poll_id, limit)]


async def select_time_from_end(connection: Connection, poll_id: UUID, action: str, count: int) -> datetime | None:
    """Return the time of the record of an action that is `count` from the end; `None` if there are fewer."""
    row = await connection.fetchrow(_SELECT_TIME_FROM_END, poll_id, action, count)
    return None if row is None else row["at"]


async def select_audited_place(connection: Connection, site: str, poll_id: UUID) -> Place | None:
    """Return the place of a poll, also after its deletion; `None` if the site has never had it."""
    row = await connection.fetchrow(_SELECT_PLACE, site, poll_id)
    return None if row is None else Place(row["workspace"], row["content"], row["container"])
