"""Find and disable unused tokens in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.token_authority.domain.actor import Actor
from shared.runtime.postgres.database import Connection

_POLICY_LOCK: Final = 0x706F6C69  # "poli"

_TRY_LOCK: Final = """
    -- try_lock_policy: lock without waiting
    SELECT pg_try_advisory_xact_lock($1) AS locked
"""
_LOCK_UNUSED: Final = """
    -- lock_unused: some active tokens not used, created or enabled since; tokens locked by others are skipped
    SELECT t.id FROM token_authority.token t JOIN token_authority.token_use u ON u.token_id = t.id
    WHERE coalesce(u.last_used_at, '-infinity') < $1 AND t.created_at < $1 AND coalesce(t.enabled_at, '-infinity') < $1
      AND t.revoked_at IS NULL AND t.disabled_at IS NULL AND coalesce(t.expires_at, 'infinity') > $2
    ORDER BY t.id LIMIT $3 FOR UPDATE OF t SKIP LOCKED
"""
_DISABLE: Final = """
    -- disable_tokens: disable tokens that the caller has locked
    UPDATE token_authority.token SET disabled_at = $2, disabled_by = $3, disabled_reason = $4 WHERE id = ANY ($1)
"""


async def try_lock_policy(connection: Connection) -> bool:
    """Lock the policy until the transaction ends. Return false if another process applies it now."""
    (row,) = await connection.fetch(_TRY_LOCK, _POLICY_LOCK)
    return bool(row["locked"])


async def lock_unused(connection: Connection, since: datetime, now: datetime, limit: int) -> list[str]:
    """Return up to `limit` ids of active tokens not used since, locked until the transaction ends."""
    return [row["id"] for row in await connection.fetch(_LOCK_UNUSED, since, now, limit)]


async def disable_tokens(
    connection: Connection, token_ids: Sequence[str], at: datetime, by: Actor, reason: str
) -> None:
    """Store that tokens are disabled."""
    await connection.execute(_DISABLE, token_ids, at, str(by), reason)
