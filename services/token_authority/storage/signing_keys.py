"""The public halves of signing keys in PostgreSQL, where every process of the authority finds those of the others."""

from datetime import datetime
from typing import Final

from shared.runtime.postgres import Executor

_INSERT: Final = """
    -- insert_signing_key: from now on guards may find this key
    INSERT INTO token_authority.signing_key (kid, public_key) VALUES ($1, $2)
"""
_SELECT: Final = """
    -- select_signing_keys: every key that may have signed something lately, the newest first
    SELECT kid, public_key FROM token_authority.signing_key ORDER BY created_at DESC LIMIT 100
"""
_DELETE: Final = """
    -- delete_signing_keys: keys that no process uses any more
    DELETE FROM token_authority.signing_key WHERE created_at < $1
"""


async def insert_signing_key(executor: Executor, kid: str, public_key: bytes) -> None:
    """Publish a key, as its 32 raw bytes."""
    await executor.execute(_INSERT, kid, public_key)


async def select_signing_keys(executor: Executor) -> dict[str, bytes]:
    """The published keys by id."""
    return {row["kid"]: row["public_key"] for row in await executor.fetch(_SELECT)}


async def delete_signing_keys(executor: Executor, created_before: datetime) -> None:
    """Withdraw old keys."""
    await executor.execute(_DELETE, created_before)
