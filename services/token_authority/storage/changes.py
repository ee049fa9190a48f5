"""The change log in PostgreSQL: what guards must learn of, numbered in commit order without gaps."""

from typing import Final

from shared.contract.change import Change
from shared.runtime.postgres import Executor

_CHANGES_LOCK: Final = 0x6368616E  # "chan"
_RELAY_LOCK: Final = 0x72656C61  # "rela"

_LOCK: Final = """
    -- lock: held to the end of the transaction
    SELECT pg_advisory_xact_lock($1)
"""
_TRY_LOCK: Final = """
    -- try_lock: the same, at once or not at all
    SELECT pg_try_advisory_xact_lock($1) AS locked
"""
_APPEND: Final = """
    -- append_change: the next number of the log; whoever runs this holds the lock
    INSERT INTO token_authority.change_log (seq, kind, token_id)
    SELECT coalesce(max(seq), 0) + 1, $1, $2 FROM token_authority.change_log
    RETURNING seq
"""
_SELECT_SEQ: Final = """
    -- select_revocation: the number under which a token was revoked
    SELECT seq FROM token_authority.change_log WHERE token_id = $1 AND kind = 'revoked'
"""
_SELECT_UNPUBLISHED: Final = """
    -- select_unpublished: the next changes to publish
    SELECT c.seq, c.kind, c.token_id, encode(t.digest, 'hex') AS digest
    FROM token_authority.change_log c JOIN token_authority.token t ON t.id = c.token_id
    WHERE c.published_at IS NULL ORDER BY c.seq LIMIT $1
"""
_MARK_PUBLISHED: Final = """
    -- mark_published: these have reached Redis
    UPDATE token_authority.change_log SET published_at = clock_timestamp() WHERE seq = ANY ($1)
"""


async def lock_changes(executor: Executor) -> None:
    """Keep others from changing tokens until this transaction ends, so that `seq` follows the order of commits."""
    await executor.execute(_LOCK, _CHANGES_LOCK)


async def append_revocation(executor: Executor, token_id: str) -> int:
    """Log that the token is revoked; its `seq`. The caller holds `lock_changes`."""
    (row,) = await executor.fetch(_APPEND, "revoked", token_id)
    return int(row["seq"])


async def select_revocation(executor: Executor, token_id: str) -> int | None:
    """The `seq` of the token's revocation."""
    row = await executor.fetchrow(_SELECT_SEQ, token_id)
    return row["seq"] if row else None


async def try_lock_publishing(executor: Executor) -> bool:
    """Keep other processes from publishing until this transaction ends, unless one of them does so now."""
    (row,) = await executor.fetch(_TRY_LOCK, _RELAY_LOCK)
    return bool(row["locked"])


async def select_unpublished(executor: Executor, limit: int) -> list[Change]:
    """The oldest changes not yet published, in order."""
    return [Change(**row) for row in await executor.fetch(_SELECT_UNPUBLISHED, limit)]


async def mark_published(executor: Executor, changes: list[Change]) -> None:
    """Note that these have been published."""
    await executor.execute(_MARK_PUBLISHED, [change.seq for change in changes])
