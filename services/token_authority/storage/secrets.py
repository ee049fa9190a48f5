"""The secrets of tokens, admin keys and services in PostgreSQL, each as a digest."""

from datetime import datetime
from typing import Final

from services.token_authority.domain.secret import HolderKind, Rotation, Secret
from shared.runtime.postgres.database import Connection, Row

SECRET_COLUMNS: Final = """
    s.id AS secret_id, s.holder_id, s.digest AS secret_digest, s.hint AS secret_hint, s.created_at AS secret_created_at,
    s.ends_at, s.ended, s.ends_on_use, s.first_used_at, s.last_used_at, s.late_uses, s.last_late_use_at
"""

_INSERT: Final = """
    -- insert_secret: one more secret of a holder
    INSERT INTO token_authority.secret (
        id, holder_kind, holder_id, digest, hint, created_at, rotation_key, rotation_request
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_SELECT_OF: Final = f"""
    -- select_secrets: every secret of a holder, the newest first
    SELECT {SECRET_COLUMNS} FROM token_authority.secret s
    WHERE s.holder_kind = $1 AND s.holder_id = $2 ORDER BY s.created_at DESC, s.id
"""  # noqa: S608
_SELECT_ROTATED: Final = f"""
    -- select_rotated: the secret that a rotation under this key has made, and what the rotation was asked to be
    SELECT {SECRET_COLUMNS}, s.rotation_request FROM token_authority.secret s
    WHERE s.holder_kind = $1 AND s.holder_id = $2 AND s.rotation_key = $3
"""  # noqa: S608
_END_OTHERS: Final = """
    -- end_other_secrets: all secrets of a holder but this one end then, where they do not end earlier
    UPDATE token_authority.secret
    SET ends_at = least(ends_at, $4), ended = $7, ends_on_use = ends_on_use OR $5, from_environment = false
    WHERE holder_kind = $1 AND holder_id = $2 AND id <> $3 AND NOT ended AND (ends_at IS NULL OR ends_at > $6)
"""
_REPLACE: Final = """
    -- replace_secret: another text in the place of one that was lost
    UPDATE token_authority.secret SET digest = $2, hint = $3 WHERE id = $1
"""
_NOTE_FIRST_USE: Final = """
    -- note_first_use: this secret is in use; said once
    UPDATE token_authority.secret SET first_used_at = $2 WHERE digest = $1 AND first_used_at IS NULL
    RETURNING created_at
"""
_END_ON_USE: Final = """
    -- end_on_use: a newer secret is in use, and these were to end then
    UPDATE token_authority.secret SET ends_at = $4, ended = true
    WHERE holder_kind = $1 AND holder_id = $2 AND created_at < $3 AND ends_on_use AND NOT ended AND ends_at > $4
    RETURNING digest
"""
_NOTE_LATE_USE: Final = """
    -- note_late_use_of_secret: it has been presented after its end
    UPDATE token_authority.secret SET late_uses = late_uses + 1, last_late_use_at = $2 WHERE id = $1
"""


async def insert_secret(
    connection: Connection, holder_kind: HolderKind, secret: Secret, rotation: Rotation | None = None
) -> None:
    """Keep a new secret."""
    await connection.execute(
        _INSERT,
        *(secret.id, holder_kind, secret.holder_id, secret.digest, secret.hint, secret.created_at),
        *(rotation and rotation.key_digest, rotation and rotation.request_digest),
    )


async def select_secrets(connection: Connection, holder_kind: HolderKind, holder_id: str) -> list[Secret]:
    """Every secret of a holder, ended ones too, the newest first."""
    return [secret_of(row) for row in await connection.fetch(_SELECT_OF, holder_kind, holder_id)]


async def select_rotated(
    connection: Connection, holder_kind: HolderKind, holder_id: str, rotation: Rotation
) -> tuple[Secret, bytes] | None:
    """The secret that a rotation under the same key has made, with the digest of what it was asked to be."""
    if rotation.key_digest is None:
        return None
    row = await connection.fetchrow(_SELECT_ROTATED, holder_kind, holder_id, rotation.key_digest)
    return (secret_of(row), row["rotation_request"]) if row else None


async def end_other_secrets(
    connection: Connection, holder_kind: HolderKind, secret: Secret, rotation: Rotation, now: datetime
) -> None:
    """Let the holder's other secrets end as the rotation says."""
    ends_at = rotation.end_of_old(now)
    await connection.execute(
        _END_OTHERS,
        *(holder_kind, secret.holder_id, secret.id, ends_at, rotation.end_on_use, now, rotation.overlap_s == 0),
    )


async def replace_secret(connection: Connection, secret_id: str, minted: Secret) -> None:
    """Put the digest of a new secret in the place of one that was lost."""
    await connection.execute(_REPLACE, secret_id, minted.digest, minted.hint)


async def note_first_use(connection: Connection, digest: bytes, now: datetime) -> datetime | None:
    """A secret is used: when it was made; `None` where its use had been noted, or it is there no more."""
    row = await connection.fetchrow(_NOTE_FIRST_USE, digest, now)
    return row["created_at"] if row else None


async def end_on_use(
    connection: Connection, holder_kind: HolderKind, holder_id: str, older_than: datetime, now: datetime
) -> list[bytes]:
    """End the older secrets that were to end when a newer one is used; their digests."""
    return [row["digest"] for row in await connection.fetch(_END_ON_USE, holder_kind, holder_id, older_than, now)]


async def note_late_use_of_secret(connection: Connection, secret_id: str, now: datetime) -> None:
    """It has been presented after its end."""
    await connection.execute(_NOTE_LATE_USE, secret_id, now)


def secret_of(row: Row) -> Secret:
    """The secret in a row that has `SECRET_COLUMNS`."""
    return Secret(
        id=row["secret_id"],
        holder_id=row["holder_id"],
        digest=row["secret_digest"],
        hint=row["secret_hint"],
        created_at=row["secret_created_at"],
        ends_at=row["ends_at"],
        ended=row["ended"],
        ends_on_use=row["ends_on_use"],
        first_used_at=row["first_used_at"],
        last_used_at=row["last_used_at"],
        late_uses=row["late_uses"],
        last_late_use_at=row["last_late_use_at"],
    )
