"""The JWTs that services have shown who they are by, in PostgreSQL, until they have expired."""

from datetime import datetime
from typing import Final

from shared.runtime.postgres.database import Connection

_INSERT: Final = """
    -- insert_service_assertion: this one is used now; nothing where it had been before
    INSERT INTO token_authority.service_assertion (client_id, jti_digest, expires_at) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING RETURNING client_id
"""
_DELETE_EXPIRED: Final = """
    -- delete_expired_assertions: these are refused for their age
    DELETE FROM token_authority.service_assertion WHERE expires_at < $1
"""


async def insert_service_assertion(
    connection: Connection, client_id: str, jti_digest: bytes, expires_at: datetime
) -> bool:
    """Note that a service has used an assertion; false where it had before."""
    return await connection.fetchrow(_INSERT, client_id, jti_digest, expires_at) is not None


async def delete_expired_assertions(connection: Connection, now: datetime) -> None:
    """Forget those that had expired at `now`."""
    await connection.execute(_DELETE_EXPIRED, now)
