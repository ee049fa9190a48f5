"""End in a restored database what had ended after its backup. Every statement leaves alone what has ended earlier."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from services.token_authority.domain.reapplication import RecordedRotation
from services.token_authority.domain.reason import Reason
from services.token_authority.domain.secret import HolderKind
from shared.runtime.postgres.database import Connection

_REVOKE: Final = """
    -- revoke_tokens_again: revoke those of these tokens that are not, except removed ones that have expired
    UPDATE token_authority.token t
    SET revoked_at = least(again.at, statement_timestamp()), revoked_seq = $1, revoked_by = again.by,
        revoked_reason = again.reason, revoked_text = again.text
    FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::boolean[])
         AS again (id, at, by, reason, text, removed)
    WHERE t.id = again.id AND t.revoked_at IS NULL
      AND (NOT again.removed OR t.expires_at IS NULL OR t.expires_at > statement_timestamp())
    RETURNING t.id
"""
_END_SECRETS: Final = """
    -- end_secrets_again: end these secrets of a holder
    UPDATE token_authority.secret
    SET ends_at = least(ends_at, statement_timestamp()), ended = true, from_environment = false
    WHERE holder_kind = $1 AND holder_id = $2 AND id = ANY ($3) AND NOT ended
    RETURNING id
"""
_END_ROTATED: Final = """
    -- end_rotated_secrets_again: let the secrets that a rotation replaced end when it said
    UPDATE token_authority.secret
    SET ends_at = least(ends_at, $5), ended = $5 <= statement_timestamp(), ends_on_use = ends_on_use OR $6,
        from_environment = false
    WHERE holder_kind = $1 AND holder_id = $2 AND id <> $3 AND created_at <= $4 AND NOT ended
      AND (ends_at IS NULL OR ends_at > least($5, statement_timestamp()))
    RETURNING id
"""
_REVOKE_ADMIN_KEY: Final = """
    -- revoke_admin_key_again: revoke an admin key
    UPDATE token_authority.admin_key SET revoked_at = least($2, statement_timestamp()), revoked_by = $3
    WHERE id = $1 AND revoked_at IS NULL RETURNING id
"""
_DELETE_SIGNING_KEYS: Final = """
    -- delete_signing_keys: remove every signing key, which makes processes create another one
    DELETE FROM token_authority.signing_key RETURNING kid
"""
_HAS_WORKING_ADMIN: Final = """
    -- has_working_admin: whether an admin key in the role admin has a secret that works
    SELECT EXISTS (
        SELECT FROM token_authority.admin_key a
        JOIN token_authority.secret s ON s.holder_kind = 'admin_key' AND s.holder_id = a.id
        WHERE a.role = 'admin' AND a.revoked_at IS NULL AND NOT s.ended
          AND (s.ends_at IS NULL OR s.ends_at > statement_timestamp())
    ) AS found
"""


class RecordedRevocation(NamedTuple):
    """A revocation of a token, or its removal after it had ended."""

    token_id: str
    at: datetime
    by: str
    why: Reason
    is_removal: bool


async def revoke_tokens(connection: Connection, revocations: Sequence[RecordedRevocation], seq: int) -> list[str]:
    """Revoke tokens as of the change `seq`. Return the ids of those that were not revoked."""
    columns = [
        [each.token_id for each in revocations],
        [each.at for each in revocations],
        [each.by for each in revocations],
        [each.why.kind for each in revocations],
        [each.why.text for each in revocations],
        [each.is_removal for each in revocations],
    ]
    return [row["id"] for row in await connection.fetch(_REVOKE, seq, *columns)]


async def end_secrets(
    connection: Connection, holder_kind: HolderKind, holder_id: str, secret_ids: Sequence[str]
) -> list[str]:
    """End these secrets of a holder. Return the ids of those that had not ended."""
    return [row["id"] for row in await connection.fetch(_END_SECRETS, holder_kind, holder_id, secret_ids)]


async def end_rotated_secrets(
    connection: Connection, holder_kind: HolderKind, holder_id: str, rotation: RecordedRotation
) -> list[str]:
    """End the secrets that a rotation replaced, or let them end later, as it said. Return their ids."""
    rows = await connection.fetch(
        _END_ROTATED, holder_kind, holder_id, rotation.new_secret, rotation.at, rotation.end, rotation.end_on_use
    )
    return [row["id"] for row in rows]


async def revoke_admin_key(connection: Connection, key_id: str, at: datetime, by: str) -> bool:
    """Revoke an admin key. Return false if it was revoked."""
    return await connection.fetchrow(_REVOKE_ADMIN_KEY, key_id, at, by) is not None


async def delete_signing_keys(connection: Connection) -> list[str]:
    """Remove every signing key. Return their ids."""
    return [row["kid"] for row in await connection.fetch(_DELETE_SIGNING_KEYS)]


async def has_working_admin(connection: Connection) -> bool:
    """Return whether anyone can administer the authority with an admin key."""
    row = await connection.fetchrow(_HAS_WORKING_ADMIN)
    return row is not None and bool(row["found"])
