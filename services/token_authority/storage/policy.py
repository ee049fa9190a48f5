"""Tokens that the operator's policy disables: those that were not used for too long."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.token_authority.domain.actor import Actor
from shared.runtime.postgres.database import Connection

_POLICY_LOCK: Final = 0x706F6C69  # "poli"

_TRY_LOCK: Final = """
    -- try_lock_policy: at once or not at all
    SELECT pg_try_advisory_xact_lock($1) AS locked
"""
_LOCK_UNUSED: Final = """
    -- lock_unused: some active tokens that were not used since, nor made or enabled again; whom another holds is left
    SELECT t.id FROM token_authority.token t JOIN token_authority.token_use u ON u.token_id = t.id
    WHERE coalesce(u.last_used_at, '-infinity') < $1 AND t.created_at < $1 AND coalesce(t.enabled_at, '-infinity') < $1
      AND t.revoked_at IS NULL AND t.disabled_at IS NULL AND coalesce(t.expires_at, 'infinity') > $2
    ORDER BY t.id LIMIT $3 FOR UPDATE OF t SKIP LOCKED
"""
_DISABLE: Final = """
    -- disable_tokens: they do not work until they are enabled again; the caller has locked them
    UPDATE token_authority.token SET disabled_at = $2, disabled_by = $3, disabled_reason = $4 WHERE id = ANY ($1)
"""


async def try_lock_policy(connection: Connection) -> bool:
    """Keep other processes from it until this transaction ends, unless one of them is at it now."""
    (row,) = await connection.fetch(_TRY_LOCK, _POLICY_LOCK)
    return bool(row["locked"])


async def lock_unused(connection: Connection, since: datetime, now: datetime, limit: int) -> list[str]:
    """Up to `limit` ids of active tokens not used since, for the caller's transaction alone."""
    return [row["id"] for row in await connection.fetch(_LOCK_UNUSED, since, now, limit)]


async def disable_tokens(
    connection: Connection, token_ids: Sequence[str], at: datetime, by: Actor, reason: str
) -> None:
    """Keep that they are disabled."""
    await connection.execute(_DISABLE, token_ids, at, str(by), reason)
