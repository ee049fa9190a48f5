"""Signing keys in PostgreSQL, shared by all processes of the authority, with the private halves encrypted.

Times are read from the database's clock, so that processes whose clocks differ agree on which key signs.
"""

from datetime import timedelta
from typing import Final

from services.token_authority.domain.signing_key import PublishedKey, SigningKey, publish
from shared.runtime.postgres.database import Connection, Row

_LOCK: Final = """
    -- lock_signing_keys: held to the end of the transaction
    SELECT pg_advisory_xact_lock(hashtext('token_authority signing keys'))
"""
_INSERT: Final = """
    -- insert_signing_key: publish a key that begins to sign later
    INSERT INTO token_authority.signing_key (kid, public_key, nonce, encrypted_private_key, signs_from)
    VALUES ($1, $2, $3, $4, statement_timestamp() + $5::interval)
"""
_SELECT: Final = """
    -- select_signing_keys: every published key
    SELECT kid, public_key, nonce, encrypted_private_key, created_at, signs_from, statement_timestamp() AS seen_at
    FROM token_authority.signing_key
"""
_WITHDRAW: Final = """
    -- withdraw_signing_keys: delete the keys that a newer one replaced before this interval
    DELETE FROM token_authority.signing_key old
    USING token_authority.signing_key newer
    WHERE newer.signs_from > old.signs_from AND newer.signs_from < statement_timestamp() - $1::interval
    RETURNING old.kid
"""


async def lock_signing_keys(connection: Connection) -> None:
    """Let one process at a time create a key: lock until the transaction ends."""
    await connection.execute(_LOCK)


async def insert_signing_key(
    connection: Connection,
    kid: str,
    *,
    public_key: bytes,
    nonce: bytes,
    encrypted_private_key: bytes,
    published_before: timedelta,
) -> None:
    """Publish a key that begins to sign after `published_before`."""
    await connection.execute(_INSERT, kid, public_key, nonce, encrypted_private_key, published_before)


async def select_signing_keys(connection: Connection) -> list[PublishedKey]:
    """Return the published keys, in the order in which they sign."""
    rows = await connection.fetch(_SELECT)
    return publish(map(_read_key, rows), rows[0]["seen_at"]) if rows else []


async def withdraw_signing_keys(connection: Connection, retired_for: timedelta) -> set[str]:
    """Delete the keys that stopped signing this long ago. Return their ids."""
    return {row["kid"] for row in await connection.fetch(_WITHDRAW, retired_for)}


def _read_key(row: Row) -> SigningKey:
    return SigningKey(
        kid=row["kid"],
        public_key=row["public_key"],
        nonce=row["nonce"],
        encrypted_private_key=row["encrypted_private_key"],
        created_at=row["created_at"],
        signs_from=row["signs_from"],
    )
