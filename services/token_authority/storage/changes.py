"""The change log in PostgreSQL: the changes that guards apply, numbered in commit order without gaps.

A transaction that appends to the log or trims it locks it exclusively until its commit; one that grants leases shares
the lock. Locking is a statement of its own, so that the next statement sees everything committed before.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.change_log import LoggedChange, LogRange
from services.token_authority.domain.reason import Reason
from services.token_authority.domain.revocation import Revoked
from services.token_authority.storage.restoration import IS_RESTORED, require_not_restored
from shared.runtime.postgres.database import Connection, Row

_LOG_LOCK: Final = 0x6368616E  # "chan"
_RELAY_LOCK: Final = 0x72656C61  # "rela"
DIGEST_BYTES: Final = 32

_LOCK: Final = """
    -- lock_log: lock the log until the transaction ends
    SELECT pg_advisory_xact_lock($1)
"""
_LOCK_SHARED: Final = """
    -- lock_log_shared: the same, shared
    SELECT pg_advisory_xact_lock_shared($1)
"""
_TRY_LOCK: Final = """
    -- try_lock_publishing: lock without waiting
    SELECT pg_try_advisory_xact_lock($1) AS locked
"""
_APPEND_REVOCATIONS: Final = """
    -- append_revocations: revoke these tokens, and log each of their secrets under the next number; the caller has
    -- locked the log. A guard with a slow clock may have an ended secret in its cache, so those are logged for a day.
    -- The newest one is logged in any case: after a restore, a token may have none that works.
    WITH head AS (SELECT coalesce(max(seq), 0) AS seq FROM token_authority.change_log),
    numbered AS (
        SELECT ended.id, s.digest, head.seq + row_number() OVER (ORDER BY place, s.created_at) AS seq
        FROM unnest($1::text[]) WITH ORDINALITY AS ended (id, place)
        JOIN token_authority.secret s ON s.holder_kind = 'token' AND s.holder_id = ended.id
         AND (s.ends_at IS NULL OR s.ends_at > statement_timestamp() - interval '1 day' OR s.created_at = (
             SELECT max(created_at) FROM token_authority.secret WHERE holder_kind = 'token' AND holder_id = ended.id
         )),
        head
    ),
    ended AS (
        UPDATE token_authority.token t
        SET revoked_at = statement_timestamp(), revoked_seq = n.seq, revoked_by = $2, revoked_reason = $3,
            revoked_text = $4
        FROM (SELECT id, max(seq) AS seq FROM numbered GROUP BY id) n WHERE t.id = n.id
    ),
    logged AS (
        INSERT INTO token_authority.change_log (seq, kind, token_id, digest)
        SELECT seq, 'revoked', id, digest FROM numbered
        RETURNING seq, digest, id, recorded_at
    )
    SELECT statement_timestamp() AS revoked_at, seq, encode(digest, 'hex') AS digest, id, recorded_at
    FROM logged ORDER BY seq
"""
_APPEND: Final = """
    -- append_changes: log a change to these secrets of a token under the next numbers; the caller has locked the log
    WITH logged AS (
        INSERT INTO token_authority.change_log (seq, kind, token_id, digest)
        SELECT (SELECT coalesce(max(seq), 0) FROM token_authority.change_log) + place, $1, $2, digest
        FROM unnest($3::bytea[]) WITH ORDINALITY AS changed (digest, place)
        RETURNING seq, digest, id, recorded_at
    )
    SELECT seq, encode(digest, 'hex') AS digest, id, recorded_at FROM logged ORDER BY seq
"""
_APPEND_DISABLINGS: Final = """
    -- append_disablings: log that these tokens are disabled, each secret that may work under the next number; the
    -- caller has locked the log
    INSERT INTO token_authority.change_log (seq, kind, token_id, digest)
    SELECT (SELECT coalesce(max(seq), 0) FROM token_authority.change_log)
           + row_number() OVER (ORDER BY place, s.created_at), 'disabled', disabled.id, s.digest
    FROM unnest($1::text[]) WITH ORDINALITY AS disabled (id, place)
    JOIN token_authority.secret s ON s.holder_kind = 'token' AND s.holder_id = disabled.id
     AND (s.ends_at IS NULL OR s.ends_at > statement_timestamp() - interval '1 day')
"""
_DELETE_ALL: Final = """
    -- delete_log: delete every change; the caller has locked the log
    DELETE FROM token_authority.change_log
"""
_INSERT_EPOCH: Final = """
    -- insert_epoch: the first row of an epoch, which is about no token
    INSERT INTO token_authority.change_log (seq, kind, digest) VALUES ($1, 'restored', $2)
"""
_SELECT_RANGE: Final = f"""
    -- select_range: the newest row, the number before the oldest one, and whether the database was restored
    SELECT state.floor, state.is_restored, seq, encode(digest, 'hex') AS digest, id, recorded_at
    FROM (
        SELECT coalesce((SELECT min(seq) - 1 FROM token_authority.change_log), 0) AS floor, {IS_RESTORED}
    ) AS state
    LEFT JOIN LATERAL (SELECT * FROM token_authority.change_log ORDER BY seq DESC LIMIT 1) AS newest ON true
"""  # noqa: S608
_SELECT_HEAD: Final = """
    -- select_head: the newest number
    SELECT coalesce(max(seq), 0) AS head FROM token_authority.change_log
"""
_SELECT_IDS: Final = """
    -- select_change_ids: the ids of some changes
    SELECT seq, id FROM token_authority.change_log WHERE seq = ANY ($1)
"""
_SELECT_AFTER: Final = """
    -- select_changes: the changes after a number, in order
    SELECT seq, encode(digest, 'hex') AS digest, id, recorded_at
    FROM token_authority.change_log WHERE seq > $1 ORDER BY seq
"""
_SELECT_UNPUBLISHED: Final = """
    -- select_unpublished: the next changes to publish
    SELECT seq, encode(digest, 'hex') AS digest, id, recorded_at
    FROM token_authority.change_log WHERE published_at IS NULL ORDER BY seq LIMIT $1
"""
_MARK_PUBLISHED: Final = """
    -- mark_published: these changes were published on Redis
    UPDATE token_authority.change_log SET published_at = clock_timestamp() WHERE seq = ANY ($1)
"""
_TRIM: Final = """
    -- trim_log: delete changes that every guard has applied and that were published, except the newest, and the last
    -- one that the slowest guard has applied, which proves that the log has not gone back
    DELETE FROM token_authority.change_log
    WHERE seq <= (SELECT max(seq) FROM token_authority.change_log WHERE recorded_at < $1)
      AND seq < (SELECT coalesce(min(applied), 9223372036854775807) FROM token_authority.guard_lease)
      AND seq < (SELECT min(seq) FROM (
          SELECT max(seq) AS seq FROM token_authority.change_log
          UNION ALL SELECT min(seq) FROM token_authority.change_log WHERE published_at IS NULL
      ) kept)
"""


async def lock_log(connection: Connection) -> None:
    """Lock the log against other changes and new leases, until the transaction ends."""
    await connection.execute(_LOCK, _LOG_LOCK)


async def lock_log_shared(connection: Connection) -> None:
    """Lock the log against changes, until the transaction ends."""
    await connection.execute(_LOCK_SHARED, _LOG_LOCK)


async def append_revocations(connection: Connection, token_ids: list[str], by: Actor, why: Reason) -> Revoked:
    """Revoke the tokens, in this order, and log it. The caller has locked the log and the tokens."""
    rows = await connection.fetch(_APPEND_REVOCATIONS, token_ids, str(by), why.kind, why.text)
    return Revoked(rows[0]["revoked_at"], rows[-1]["seq"], _read_changes(rows))


async def append_changes(
    connection: Connection, kind: str, token_id: str, digests: Sequence[bytes]
) -> list[LoggedChange]:
    """Log a change to one or more secrets of a token. The caller has locked the log."""
    return _read_changes(await connection.fetch(_APPEND, kind, token_id, digests))


async def append_disablings(connection: Connection, token_ids: Sequence[str]) -> None:
    """Log that tokens are disabled. The caller has locked the log and the tokens."""
    await connection.execute(_APPEND_DISABLINGS, token_ids)


async def restart_log(connection: Connection, seq: int) -> None:
    """Replace the whole log by one row, with the first number of an epoch. The caller has locked the log.

    Guards that have applied anything before drop their whole cache. The digest is that of no secret.
    """
    await connection.execute(_DELETE_ALL)
    await connection.execute(_INSERT_EPOCH, seq, bytes(DIGEST_BYTES))


async def select_range(connection: Connection) -> LogRange:
    """Return the range of the log that is stored. Raise `Restored`."""
    (row,) = await connection.fetch(_SELECT_RANGE)
    require_not_restored(row)
    newest = None if row["seq"] is None else _read_change(row)
    return LogRange(0 if newest is None else newest.seq, row["floor"], newest)


async def select_head(connection: Connection) -> int:
    """Return the newest `seq`, or 0, also during a restoration."""
    (row,) = await connection.fetch(_SELECT_HEAD)
    return int(row["head"])


async def select_change_ids(connection: Connection, seqs: Sequence[int]) -> dict[int, UUID]:
    """Return the ids of those of these changes that the log has, by `seq`."""
    return {row["seq"]: row["id"] for row in await connection.fetch(_SELECT_IDS, seqs)}


async def select_changes(connection: Connection, after: int) -> list[LoggedChange]:
    """Return the changes after a `seq`, in order."""
    return _read_changes(await connection.fetch(_SELECT_AFTER, after))


async def try_lock_publishing(connection: Connection) -> bool:
    """Lock publishing until the transaction ends. Return false if another process publishes now."""
    (row,) = await connection.fetch(_TRY_LOCK, _RELAY_LOCK)
    return bool(row["locked"])


async def select_unpublished(connection: Connection, limit: int) -> list[LoggedChange]:
    """Return the oldest changes that are not published yet, in order."""
    return _read_changes(await connection.fetch(_SELECT_UNPUBLISHED, limit))


async def mark_published(connection: Connection, seqs: list[int]) -> None:
    """Store that these changes are published."""
    await connection.execute(_MARK_PUBLISHED, seqs)


async def trim_log(connection: Connection, recorded_before: datetime) -> None:
    """Delete old changes that no guard needs. The caller has locked the log."""
    await connection.execute(_TRIM, recorded_before)


def _read_changes(rows: Sequence[Row]) -> list[LoggedChange]:
    return [_read_change(row) for row in rows]


def _read_change(row: Row) -> LoggedChange:
    return LoggedChange(row["seq"], row["digest"], row["id"], row["recorded_at"])
