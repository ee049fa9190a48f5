"""The public halves of signing keys in PostgreSQL, where every process of the authority finds those of the others."""

from datetime import timedelta
from typing import Final

from shared.runtime.postgres import Executor

_PUBLISH: Final = """
    -- publish_signing_key: from now on guards find this key
    INSERT INTO token_authority.signing_key (kid, public_key) VALUES ($1, $2)
    ON CONFLICT (kid) DO UPDATE SET renewed_at = now()
"""
_SELECT: Final = """
    -- select_signing_keys: every key that is published, the newest first
    SELECT kid, public_key FROM token_authority.signing_key ORDER BY created_at DESC
"""
_WITHDRAW: Final = """
    -- withdraw_signing_keys: remove keys that have not been published again for a while
    DELETE FROM token_authority.signing_key WHERE renewed_at < now() - $1::interval
"""


async def publish_signing_key(executor: Executor, kid: str, public_key: bytes) -> None:
    """Publish a key, as its 32 raw bytes; again, so that it stays."""
    await executor.execute(_PUBLISH, kid, public_key)


async def select_signing_keys(executor: Executor) -> dict[str, bytes]:
    """The published keys by id."""
    return {row["kid"]: row["public_key"] for row in await executor.fetch(_SELECT)}


async def withdraw_signing_keys(executor: Executor, unrenewed_for: timedelta) -> None:
    """Withdraw the keys that nobody has published for so long."""
    await executor.execute(_WITHDRAW, unrenewed_for)
