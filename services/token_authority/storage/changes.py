"""The change log in PostgreSQL: what guards must learn of, numbered in commit order without gaps.

Whoever adds to the log or trims it holds the log's lock exclusively until its commit; whoever grants a lease holds it
shared. The lock is a statement of its own, so that the next statement sees all that was committed before.
"""

from datetime import datetime
from typing import Final

from msgspec import Struct

from services.token_authority.domain.lease import Span
from services.token_authority.domain.token import Ended
from shared.contract.change import Change
from shared.runtime.postgres import Executor

_LOG_LOCK: Final = 0x6368616E  # "chan"
_RELAY_LOCK: Final = 0x72656C61  # "rela"

_LOCK: Final = """
    -- lock_log: held to the end of the transaction
    SELECT pg_advisory_xact_lock($1)
"""
_LOCK_SHARED: Final = """
    -- lock_log_shared: the same, with others that share it
    SELECT pg_advisory_xact_lock_shared($1)
"""
_TRY_LOCK: Final = """
    -- try_lock_publishing: at once or not at all
    SELECT pg_try_advisory_xact_lock($1) AS locked
"""
_APPEND_REVOCATIONS: Final = """
    -- append_revocations: end these tokens, and log each under the next number; whoever runs this holds the lock
    WITH head AS (SELECT coalesce(max(seq), 0) AS seq FROM token_authority.change_log),
    numbered AS (
        SELECT id, head.seq + row_number() OVER (ORDER BY place) AS seq
        FROM unnest($1::text[]) WITH ORDINALITY AS ended (id, place), head
    ),
    ended AS (
        UPDATE token_authority.token t SET revoked_at = statement_timestamp(), revoked_seq = n.seq
        FROM numbered n WHERE t.id = n.id
    ),
    logged AS (
        INSERT INTO token_authority.change_log (seq, kind, token_id) SELECT seq, 'revoked', id FROM numbered
    )
    SELECT statement_timestamp() AS revoked_at, max(seq) AS seq FROM numbered
"""
_SELECT_SPAN: Final = """
    -- select_span: the newest number, and the one before the oldest that is still kept
    SELECT coalesce(max(seq), 0) AS head, coalesce(min(seq) - 1, 0) AS floor FROM token_authority.change_log
"""
_SELECT_AFTER: Final = """
    -- select_changes: what came after a number, in order
    SELECT c.seq, c.kind, c.token_id, encode(t.digest, 'hex') AS digest
    FROM token_authority.change_log c JOIN token_authority.token t ON t.id = c.token_id
    WHERE c.seq > $1 ORDER BY c.seq
"""
_SELECT_UNPUBLISHED: Final = """
    -- select_unpublished: the next changes to publish
    SELECT c.seq, c.kind, c.token_id, encode(t.digest, 'hex') AS digest, c.recorded_at
    FROM token_authority.change_log c JOIN token_authority.token t ON t.id = c.token_id
    WHERE c.published_at IS NULL ORDER BY c.seq LIMIT $1
"""
_MARK_PUBLISHED: Final = """
    -- mark_published: these have reached Redis
    UPDATE token_authority.change_log SET published_at = clock_timestamp() WHERE seq = ANY ($1)
"""
_TRIM: Final = """
    -- trim_log: remove what every guard has applied and Redis has had, but for the newest row, which keeps the count
    DELETE FROM token_authority.change_log
    WHERE seq <= (SELECT max(seq) FROM token_authority.change_log WHERE recorded_at < $1)
      AND seq <= (SELECT coalesce(min(applied), 9223372036854775807) FROM token_authority.guard_lease)
      AND seq < (SELECT min(seq) FROM (
          SELECT max(seq) AS seq FROM token_authority.change_log
          UNION ALL SELECT min(seq) FROM token_authority.change_log WHERE published_at IS NULL
      ) kept)
"""


class Unpublished(Struct, frozen=True):
    """A change that Redis has not had, and when it was recorded."""

    change: Change
    recorded_at: datetime


async def lock_log(executor: Executor) -> None:
    """Keep others from changing tokens, and from granting leases, until this transaction ends."""
    await executor.execute(_LOCK, _LOG_LOCK)


async def lock_log_shared(executor: Executor) -> None:
    """Keep others from changing tokens until this transaction ends."""
    await executor.execute(_LOCK_SHARED, _LOG_LOCK)


async def append_revocations(executor: Executor, token_ids: list[str]) -> Ended:
    """End the tokens, in this order, and log it. The caller holds `lock_log`, and the tokens' rows."""
    (row,) = await executor.fetch(_APPEND_REVOCATIONS, token_ids)
    return Ended(row["revoked_at"], int(row["seq"]))


async def select_span(executor: Executor) -> Span:
    """Which part of the log there is."""
    (row,) = await executor.fetch(_SELECT_SPAN)
    return Span(int(row["head"]), int(row["floor"]))


async def select_changes(executor: Executor, after: int) -> list[Change]:
    """The changes after a `seq`, in order."""
    return [Change(**row) for row in await executor.fetch(_SELECT_AFTER, after)]


async def try_lock_publishing(executor: Executor) -> bool:
    """Keep other processes from publishing until this transaction ends, unless one of them does so now."""
    (row,) = await executor.fetch(_TRY_LOCK, _RELAY_LOCK)
    return bool(row["locked"])


async def select_unpublished(executor: Executor, limit: int) -> list[Unpublished]:
    """The oldest changes not yet published, in order."""
    rows = await executor.fetch(_SELECT_UNPUBLISHED, limit)
    return [
        Unpublished(Change(row["seq"], row["kind"], row["token_id"], row["digest"]), row["recorded_at"]) for row in rows
    ]


async def mark_published(executor: Executor, seqs: list[int]) -> None:
    """Note that these have been published."""
    await executor.execute(_MARK_PUBLISHED, seqs)


async def trim_log(executor: Executor, recorded_before: datetime) -> None:
    """Remove old changes that no guard can need. The caller holds `lock_log`."""
    await executor.execute(_TRIM, recorded_before)
