"""Remove tokens that ended long ago from PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.token_authority.domain.token import Token
from services.token_authority.storage.tokens import TOKEN_COLUMNS, read_token
from shared.runtime.postgres.database import Connection

_PURGE_LOCK: Final = 0x70757267  # "purg"

_TRY_LOCK: Final = """
    -- try_lock_purge: lock without waiting
    SELECT pg_try_advisory_xact_lock($1) AS locked
"""
_LOCK_ENDED: Final = f"""
    -- lock_ended: some tokens that ended before this time and of which no change is in the log; tokens locked by others
    -- are skipped
    SELECT {TOKEN_COLUMNS} FROM token_authority.token t
    WHERE t.created_at < $1 AND least(t.revoked_at, t.expires_at) < $1 AND coalesce(t.revoked_at, '-infinity') < $1
      AND NOT EXISTS (SELECT FROM token_authority.change_log c WHERE c.token_id = t.id)
    ORDER BY t.id LIMIT $2 FOR UPDATE OF t SKIP LOCKED
"""  # noqa: S608
_DELETE_USE: Final = """
    -- delete_use: the counts of tokens, in order, so that this and a report of uses cannot deadlock
    DELETE FROM token_authority.token_use WHERE token_id IN (
        SELECT token_id FROM token_authority.token_use WHERE token_id = ANY ($1) ORDER BY token_id FOR UPDATE
    )
"""
_DELETE_DAYS: Final = """
    -- delete_days: the daily counts of tokens
    DELETE FROM token_authority.token_day WHERE token_id = ANY ($1)
"""
_DELETE_SECRETS: Final = """
    -- delete_secrets: the secrets of tokens, in order
    DELETE FROM token_authority.secret WHERE id IN (
        SELECT id FROM token_authority.secret WHERE holder_kind = 'token' AND holder_id = ANY ($1)
        ORDER BY id FOR UPDATE
    )
"""
_DELETE: Final = """
    -- delete_tokens: tokens without counts and secrets
    DELETE FROM token_authority.token WHERE id = ANY ($1)
"""


async def try_lock_purge(connection: Connection) -> bool:
    """Lock the purge until the transaction ends. Return false if another process purges now."""
    (row,) = await connection.fetch(_TRY_LOCK, _PURGE_LOCK)
    return bool(row["locked"])


async def lock_ended(connection: Connection, before: datetime, limit: int) -> list[Token]:
    """Return up to `limit` tokens that expired or were revoked before this time, locked until the transaction ends.

    One that was revoked later, after its expiry, is kept from then. One of which the log has a change is kept too: a
    guard may not have applied it yet.
    """
    return [read_token(row) for row in await connection.fetch(_LOCK_ENDED, before, limit)]


async def delete_tokens(connection: Connection, token_ids: Sequence[str]) -> None:
    """Delete tokens that the caller has locked, with their secrets and counts."""
    for statement in (_DELETE_USE, _DELETE_DAYS, _DELETE_SECRETS, _DELETE):
        await connection.execute(statement, token_ids)
