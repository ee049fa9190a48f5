"""Used client assertions in PostgreSQL, stored until they expire."""

from datetime import datetime
from typing import Final

from shared.runtime.postgres.database import Connection

_INSERT: Final = """
    -- insert_service_assertion: a used assertion; no row if it was used before
    INSERT INTO token_authority.service_assertion (client_id, jti_digest, expires_at) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING RETURNING client_id
"""
_DELETE_EXPIRED: Final = """
    -- delete_expired_assertions: assertions that are refused as expired
    DELETE FROM token_authority.service_assertion WHERE expires_at < $1
"""


async def insert_service_assertion(
    connection: Connection, client_id: str, jti_digest: bytes, expires_at: datetime
) -> bool:
    """Store that a service used an assertion. Return false if it was used before."""
    return await connection.fetchrow(_INSERT, client_id, jti_digest, expires_at) is not None


async def delete_expired_assertions(connection: Connection, now: datetime) -> None:
    """Delete the assertions that are expired at `now`."""
    await connection.execute(_DELETE_EXPIRED, now)
