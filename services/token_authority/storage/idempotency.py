"""The `Idempotency-Key` of rotations in PostgreSQL, stored with the secret that the rotation created."""

from typing import Final

from services.token_authority.domain.idempotency import IdempotencyKey
from services.token_authority.domain.secret import HolderKind, Secret
from services.token_authority.storage.secrets import SECRET_COLUMNS, read_secret
from shared.runtime.postgres.database import Connection

_SELECT_ROTATED: Final = f"""
    -- select_rotated: the secret that a rotation under this key created, with the digest of the request
    SELECT {SECRET_COLUMNS}, s.rotation_request FROM token_authority.secret s
    WHERE s.holder_kind = $1 AND s.holder_id = $2 AND s.rotation_key = $3
"""  # noqa: S608


async def select_rotated(
    connection: Connection, holder_kind: HolderKind, holder_id: str, key: IdempotencyKey
) -> tuple[Secret, bytes] | None:
    """Return the secret that a rotation under this key created, with the digest of that request."""
    row = await connection.fetchrow(_SELECT_ROTATED, holder_kind, holder_id, key.digest)
    return (read_secret(row), row["rotation_request"]) if row else None
