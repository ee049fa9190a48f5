"""Signing keys in PostgreSQL, where every process of the authority finds them; the private halves are encrypted.

Times are the database's, so that processes whose clocks differ agree on which key signs.
"""

from datetime import timedelta
from typing import Final

from services.token_authority.domain.signing_key import PublishedKey, SigningKey, published
from shared.runtime.postgres.database import Connection, Row

_LOCK: Final = """
    -- lock_signing_keys: held to the end of the transaction
    SELECT pg_advisory_xact_lock(hashtext('token_authority signing keys'))
"""
_INSERT: Final = """
    -- insert_signing_key: from now on guards find this key, and after a rest it signs
    INSERT INTO token_authority.signing_key (kid, public_key, nonce, encrypted_private_key, signs_from)
    VALUES ($1, $2, $3, $4, statement_timestamp() + $5::interval)
"""
_SELECT: Final = """
    -- select_signing_keys: every key that is published
    SELECT kid, public_key, nonce, encrypted_private_key, created_at, signs_from, statement_timestamp() AS seen_at
    FROM token_authority.signing_key
"""
_WITHDRAW: Final = """
    -- withdraw_signing_keys: remove keys in whose place others have signed for so long
    DELETE FROM token_authority.signing_key old
    USING token_authority.signing_key newer
    WHERE newer.signs_from > old.signs_from AND newer.signs_from < statement_timestamp() - $1::interval
    RETURNING old.kid
"""


async def lock_signing_keys(connection: Connection) -> None:
    """Let one process at a time make a key."""
    await connection.execute(_LOCK)


async def insert_signing_key(
    connection: Connection, kid: str, *, public_key: bytes, nonce: bytes, encrypted_private_key: bytes, rest: timedelta
) -> None:
    """Publish a key that signs after a rest."""
    await connection.execute(_INSERT, kid, public_key, nonce, encrypted_private_key, rest)


async def select_signing_keys(connection: Connection) -> list[PublishedKey]:
    """The published keys, in the order in which they sign."""
    rows = await connection.fetch(_SELECT)
    return published(map(_key, rows), rows[0]["seen_at"]) if rows else []


async def withdraw_signing_keys(connection: Connection, retired_for: timedelta) -> set[str]:
    """Withdraw the keys that stopped signing so long ago; their ids."""
    return {row["kid"] for row in await connection.fetch(_WITHDRAW, retired_for)}


def _key(row: Row) -> SigningKey:
    return SigningKey(
        kid=row["kid"],
        public_key=row["public_key"],
        nonce=row["nonce"],
        encrypted_private_key=row["encrypted_private_key"],
        created_at=row["created_at"],
        signs_from=row["signs_from"],
    )
