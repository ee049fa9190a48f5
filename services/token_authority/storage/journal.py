"""What the journal reads of the database: the audit log, and which of its records a restoration has replaced."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from services.token_authority.domain.audit_chain import EMPTY, Head
from services.token_authority.domain.journal import JournalRecord, journal_record
from shared.contract.audit import read_columns
from shared.runtime.postgres.database import Connection

CHUNK: Final = 1000
"""Records per statement."""

_SELECT_FROM: Final = """
    -- select_log_from: the audit log from a record on, and the head of the change log, from one snapshot
    SELECT (SELECT coalesce(max(seq), 0) FROM token_authority.change_log) AS change_seq, log.*
    FROM (
        SELECT seq, at, actor_kind AS actor, actor_id, address, request_id, action, subject, before, after,
               encode(previous, 'hex') AS previous, encode(hash, 'hex') AS hash
        FROM token_authority.audit_log WHERE seq >= $1 ORDER BY seq LIMIT $2
    ) AS log
    ORDER BY seq
"""
_SELECT_FIRST: Final = """
    -- select_first_to_journal: the first record since a time, or else the last one
    SELECT coalesce(
        (SELECT min(seq) FROM token_authority.audit_log WHERE at >= $1),
        (SELECT max(seq) FROM token_authority.audit_log),
        1
    ) AS seq
"""
_SELECT_HEAD: Final = """
    -- select_head_of_audit: the last record
    SELECT seq, encode(hash, 'hex') AS hash FROM token_authority.audit_log ORDER BY seq DESC LIMIT 1
"""
_SELECT_KNOWN: Final = """
    -- select_known_records: those of these records that are in the audit log, or that a restoration has made up for
    SELECT wanted.seq, wanted.hash FROM unnest($1::bigint[], $2::text[]) AS wanted (seq, hash)
    WHERE EXISTS (
        SELECT FROM token_authority.audit_log l WHERE l.seq = wanted.seq AND l.hash = decode(wanted.hash, 'hex')
    ) OR EXISTS (
        SELECT FROM token_authority.replaced_record r WHERE r.seq = wanted.seq AND r.hash = decode(wanted.hash, 'hex')
    )
"""
_SELECT_BASE: Final = """
    -- select_base_of_replaced: the last record before a restoration that replaced this one; no row if none did
    SELECT base_seq FROM token_authority.replaced_record WHERE seq = $1 AND hash = decode($2, 'hex')
"""
_INSERT_REPLACED: Final = """
    -- insert_replaced: records that a restoration has replaced
    INSERT INTO token_authority.replaced_record (seq, hash, base_seq)
    SELECT seq, decode(hash, 'hex'), $3 FROM unnest($1::bigint[], $2::text[]) AS replaced (seq, hash)
    ON CONFLICT DO NOTHING
"""


class LogPage(NamedTuple):
    """Records of the audit log in order. `is_last`: there are no later ones."""

    records: list[JournalRecord]
    is_last: bool


async def select_log_from(connection: Connection, seq: int) -> LogPage:
    """Return the records of the audit log from this `seq` on. The last record of all has the head of the change log."""
    rows = await connection.fetch(_SELECT_FROM, seq, CHUNK)
    found = [dict(row) for row in rows]
    change_seqs = [fields.pop("change_seq") for fields in found]
    is_last = len(found) < CHUNK
    records = [journal_record(read_columns(fields)) for fields in found]
    if records and is_last:
        records[-1] = msgspec.structs.replace(records[-1], change_seq=change_seqs[-1])
    return LogPage(records, is_last)


async def select_first_to_journal(connection: Connection, since: datetime) -> int:
    """Return the `seq` with which a new journal begins."""
    (row,) = await connection.fetch(_SELECT_FIRST, since)
    return int(row["seq"])


async def select_audit_head(connection: Connection) -> Head:
    """Return the last record of the audit log."""
    row = await connection.fetchrow(_SELECT_HEAD)
    return Head(row["seq"], row["hash"]) if row else EMPTY


async def select_known(connection: Connection, heads: Sequence[Head]) -> set[Head]:
    """Return those of these records that are in the audit log, or that a restoration has made up for."""
    known = set()
    for start in range(0, len(heads), CHUNK):
        seqs, hashes = zip(*heads[start : start + CHUNK], strict=True)
        rows = await connection.fetch(_SELECT_KNOWN, list(seqs), list(hashes))
        known |= {Head(row["seq"], row["hash"]) for row in rows}
    return known


async def select_base_of_replaced(connection: Connection, head: Head) -> int | None:
    """Return the last `seq` that the audit log had when a restoration replaced this record; `None` if none did."""
    row = await connection.fetchrow(_SELECT_BASE, *head)
    return int(row["base_seq"]) if row else None


async def insert_replaced(connection: Connection, heads: Collection[Head], base_seq: int) -> None:
    """Store that a restoration has replaced these records, which followed the one with the `seq` `base_seq`."""
    seqs, hashes = [head.seq for head in heads], [head.hash for head in heads]
    await connection.execute(_INSERT_REPLACED, seqs, hashes, base_seq)
