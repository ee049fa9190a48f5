"""Restorations in PostgreSQL, and the changes that guards have reported during them.

At most one restoration is open. While one is, every statement that looks up a token or a credential says so, by
`IS_RESTORED`, and its function raises `Restored`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.errors import Restored
from services.token_authority.domain.reason import Reason
from services.token_authority.domain.restoration import Evidence, ReportedChange, Restoration
from shared.contract.change import EPOCH_SIZE
from shared.runtime.postgres.database import Connection, Row

IS_RESTORED: Final = "EXISTS (SELECT FROM token_authority.restoration WHERE finished_at IS NULL) AS is_restored"
"""A column for statements whose answer must not be used during a restoration."""

_COLUMNS: Final = "id, began_at, evidence, expected_seq, finished_at, finished_by, how"

_BEGIN: Final = """
    -- begin_restoration: open a restoration; no row if one is open, or if the log has a later epoch by now than the
    -- change that was missing, because the restoration that this is about is finished
    INSERT INTO token_authority.restoration (evidence, expected_seq)
    SELECT $1::json, $2::bigint
    WHERE $2 = 0 OR $2 / $3 >= (SELECT coalesce(max(seq), 0) / $3 FROM token_authority.change_log)
    ON CONFLICT DO NOTHING RETURNING id
"""
_SELECT_OPEN: Final = f"""
    -- select_open_restoration: the restoration that is not finished
    SELECT {_COLUMNS} FROM token_authority.restoration WHERE finished_at IS NULL
"""  # noqa: S608
_LOCK_OPEN: Final = f"""
    -- lock_open_restoration: the same, locked until the transaction ends
    SELECT {_COLUMNS} FROM token_authority.restoration WHERE finished_at IS NULL FOR UPDATE
"""  # noqa: S608
_FINISH: Final = """
    -- finish_restoration: the restoration is finished
    UPDATE token_authority.restoration SET finished_at = statement_timestamp(), finished_by = $2, how = $3
    WHERE id = $1
"""
_END_SECRETS: Final = """
    -- end_reported_secrets: end the secrets with these digests that have not ended
    UPDATE token_authority.secret SET ends_at = least(ends_at, statement_timestamp()), ended = true
    WHERE digest = ANY ($1) AND holder_kind = 'token' AND NOT ended
    RETURNING id, holder_id
"""
_REVOKE_WORKING: Final = """
    -- revoke_working_tokens: revoke every token that is neither revoked nor expired
    UPDATE token_authority.token
    SET revoked_at = statement_timestamp(), revoked_seq = $1, revoked_by = $2, revoked_reason = $3, revoked_text = $4
    WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > statement_timestamp())
    RETURNING id
"""
_INSERT_REPORTED: Final = """
    -- insert_reported_changes: changes that the log lacks, and which service has reported them. What is older than the
    -- log was deleted from it: guards keep changes for a shorter time than the log does.
    INSERT INTO token_authority.reported_change AS known (restoration_id, seq, change_id, digest, reported_by)
    SELECT $1, seq, change_id, digest, ARRAY[$5]
    FROM unnest($2::bigint[], $3::uuid[], $4::bytea[]) AS reported (seq, change_id, digest)
    WHERE seq > (SELECT coalesce(min(seq) - 1, 0) FROM token_authority.change_log)
      AND NOT EXISTS (SELECT FROM token_authority.change_log l WHERE l.seq = reported.seq AND l.id = reported.change_id)
    ORDER BY seq, change_id
    ON CONFLICT (restoration_id, seq, change_id) DO UPDATE SET reported_by = known.reported_by || $5
    WHERE NOT known.reported_by @> ARRAY[$5]
"""
_SELECT_REPORTED: Final = """
    -- select_reported_changes: what guards have reported during a restoration, in order
    SELECT seq, change_id, digest, reported_by FROM token_authority.reported_change
    WHERE restoration_id = $1 ORDER BY seq, change_id
"""


def require_not_restored(row: Row) -> None:
    """Raise `Restored` if a row with `IS_RESTORED` says that a restoration is open."""
    if row["is_restored"]:
        raise Restored


async def begin_restoration(connection: Connection, evidence: Evidence) -> bool:
    """Open a restoration. Return false if one is open, or the one that this is evidence of is finished."""
    encoded = msgspec.json.encode(evidence).decode()
    return await connection.fetchrow(_BEGIN, encoded, evidence.expected_seq, EPOCH_SIZE) is not None


async def select_open_restoration(connection: Connection) -> Restoration | None:
    """Return the restoration that is not finished; `None` if there is none."""
    row = await connection.fetchrow(_SELECT_OPEN)
    return _read(row) if row else None


async def lock_open_restoration(connection: Connection) -> Restoration | None:
    """Return the restoration that is not finished, locked until the transaction ends."""
    row = await connection.fetchrow(_LOCK_OPEN)
    return _read(row) if row else None


async def finish_restoration(connection: Connection, restoration: Restoration, by: str, how: str) -> None:
    """Mark a restoration as finished. The caller has locked it."""
    await connection.execute(_FINISH, restoration.id, by, how)


async def insert_reported_changes(
    connection: Connection, restoration: Restoration, client_id: str, changes: Sequence[ReportedChange]
) -> None:
    """Store changes that a service has reported and that the log lacks. A repetition changes nothing."""
    seqs, ids, digests = ([getattr(each, name) for each in changes] for name in ("seq", "change_id", "digest"))
    await connection.execute(_INSERT_REPORTED, restoration.id, seqs, ids, digests, client_id)


async def select_reported_changes(connection: Connection, restoration: Restoration) -> list[ReportedChange]:
    """Return what was reported during a restoration, in the order of the numbers."""
    rows = await connection.fetch(_SELECT_REPORTED, restoration.id)
    return [ReportedChange(row["seq"], row["change_id"], row["digest"], tuple(row["reported_by"])) for row in rows]


async def end_reported_secrets(connection: Connection, digests: Sequence[bytes]) -> dict[str, list[str]]:
    """End the secrets of tokens with these digests. Return the ids of those that had not ended, by token id."""
    ended: dict[str, list[str]] = {}
    for row in await connection.fetch(_END_SECRETS, digests):
        ended.setdefault(row["holder_id"], []).append(row["id"])
    return ended


async def revoke_working_tokens(connection: Connection, seq: int, by: Actor, why: Reason) -> list[str]:
    """Revoke every token that works or could work again, as of the change `seq`. Return their ids."""
    return [row["id"] for row in await connection.fetch(_REVOKE_WORKING, seq, str(by), why.kind, why.text)]


def _read(row: Row) -> Restoration:
    return Restoration(
        id=row["id"],
        began_at=row["began_at"],
        evidence=msgspec.json.decode(row["evidence"], type=Evidence),
        expected_seq=row["expected_seq"],
        finished_at=row["finished_at"],
        finished_by=row["finished_by"],
        how=row["how"],
    )
