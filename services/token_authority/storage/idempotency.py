"""The `Idempotency-Key` of requests that create secrets, in PostgreSQL."""

from typing import Final, NamedTuple

from services.token_authority.domain.idempotency import IdempotencyKey
from shared.runtime.postgres.database import Connection

_LOCK: Final = """
    -- lock_idempotency_key: lock a key until the transaction ends
    SELECT pg_advisory_xact_lock($1)
"""
_SELECT: Final = """
    -- select_keyed_request: what a request under this key created
    SELECT request_digest, holder_id, secret_id FROM token_authority.idempotency_key WHERE digest = $1
"""
_INSERT: Final = """
    -- insert_keyed_request: what a request under this key has created
    INSERT INTO token_authority.idempotency_key (digest, request_digest, holder_id, secret_id) VALUES ($1, $2, $3, $4)
"""


class KeyedRequest(NamedTuple):
    """An earlier request under a key: its digest, and what it created. A service may have no secret."""

    request_digest: bytes
    holder_id: str
    secret_id: str | None


async def lock_idempotency_key(connection: Connection, key: IdempotencyKey) -> None:
    """Lock a key until the transaction ends, so that concurrent requests under it are handled one after another."""
    await connection.execute(_LOCK, int.from_bytes(key.digest[:8], signed=True))


async def select_keyed_request(connection: Connection, key: IdempotencyKey) -> KeyedRequest | None:
    """Return the earlier request under this key."""
    row = await connection.fetchrow(_SELECT, key.digest)
    return KeyedRequest(row["request_digest"], row["holder_id"], row["secret_id"]) if row else None


async def insert_keyed_request(
    connection: Connection, key: IdempotencyKey, holder_id: str, secret_id: str | None
) -> None:
    """Store what a request under this key has created."""
    await connection.execute(_INSERT, key.digest, key.request_digest, holder_id, secret_id)
