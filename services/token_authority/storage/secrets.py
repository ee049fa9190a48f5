"""The secrets of tokens, admin keys and services in PostgreSQL, each as a SHA-256 digest."""

from datetime import datetime
from typing import Final, NamedTuple

from services.token_authority.domain.secret import HolderKind, Secret
from shared.runtime.postgres.database import Connection, Row

SECRET_COLUMNS: Final = """
    s.id AS secret_id, s.holder_id, s.digest AS secret_digest, s.hint AS secret_hint, s.created_at AS secret_created_at,
    s.ends_at, s.ended, s.ends_on_use, s.first_used_at, s.last_used_at, s.late_uses, s.last_late_use_at
"""

_INSERT: Final = """
    -- insert_secret: a new secret of a holder
    INSERT INTO token_authority.secret (id, holder_kind, holder_id, digest, hint, created_at)
    VALUES ($1, $2, $3, $4, $5, $6)
"""
_SELECT_OF: Final = f"""
    -- select_secrets: every secret of a holder, the newest first
    SELECT {SECRET_COLUMNS} FROM token_authority.secret s
    WHERE s.holder_kind = $1 AND s.holder_id = $2 ORDER BY s.created_at DESC, s.id
"""  # noqa: S608
_END_OTHERS: Final = """
    -- end_other_secrets: let every other secret of a holder end at this time, or earlier if it already does
    UPDATE token_authority.secret
    SET ends_at = least(ends_at, $4), ended = $4 <= $6, ends_on_use = ends_on_use OR $5, from_environment = false
    WHERE holder_kind = $1 AND holder_id = $2 AND id <> $3 AND NOT ended AND (ends_at IS NULL OR ends_at > $6)
"""
_REPLACE: Final = """
    -- replace_secret: a new digest for a secret whose text was lost
    UPDATE token_authority.secret SET digest = $2, hint = $3 WHERE id = $1
"""
_NOTE_FIRST_USE: Final = """
    -- note_first_use: store when a secret was first used; no row if that was stored before
    UPDATE token_authority.secret SET first_used_at = $2 WHERE digest = $1 AND first_used_at IS NULL
    RETURNING id, created_at
"""
_END_ON_USE: Final = """
    -- end_on_use: end the older secrets that end with the first use of a newer one
    UPDATE token_authority.secret SET ends_at = $4, ended = true
    WHERE holder_kind = $1 AND holder_id = $2 AND created_at < $3 AND ends_on_use AND NOT ended AND ends_at > $4
    RETURNING id, digest
"""
_NOTE_LATE_USE: Final = """
    -- note_late_use_of_secret: the secret was presented after its end
    UPDATE token_authority.secret SET late_uses = late_uses + 1, last_late_use_at = $2 WHERE id = $1
"""


class UsedSecret(NamedTuple):
    """A secret that was used for the first time."""

    id: str
    created_at: datetime


class EndedSecret(NamedTuple):
    """A secret that the first use of a newer one ended."""

    id: str
    digest: bytes


async def insert_secret(connection: Connection, holder_kind: HolderKind, secret: Secret) -> None:
    """Store a new secret."""
    await connection.execute(
        _INSERT, secret.id, holder_kind, secret.holder_id, secret.digest, secret.hint, secret.created_at
    )


async def select_secrets(connection: Connection, holder_kind: HolderKind, holder_id: str) -> list[Secret]:
    """Return every secret of a holder, including ended ones, newest first."""
    return [read_secret(row) for row in await connection.fetch(_SELECT_OF, holder_kind, holder_id)]


async def end_other_secrets(
    connection: Connection, holder_kind: HolderKind, secret: Secret, end: datetime, now: datetime, *, end_on_use: bool
) -> None:
    """Let the holder's other secrets end at `end`, or immediately if that has passed."""
    await connection.execute(_END_OTHERS, holder_kind, secret.holder_id, secret.id, end, end_on_use, now)


async def replace_secret(connection: Connection, secret_id: str, minted: Secret) -> None:
    """Replace the digest of a secret whose text was lost."""
    await connection.execute(_REPLACE, secret_id, minted.digest, minted.hint)


async def note_first_use(connection: Connection, digest: bytes, now: datetime) -> UsedSecret | None:
    """Store the first use of a secret. Return the secret; `None` if a use is already stored."""
    row = await connection.fetchrow(_NOTE_FIRST_USE, digest, now)
    return UsedSecret(row["id"], row["created_at"]) if row else None


async def end_on_use(
    connection: Connection, holder_kind: HolderKind, holder_id: str, older_than: datetime, now: datetime
) -> list[EndedSecret]:
    """End the older secrets that end with the first use of a newer one."""
    rows = await connection.fetch(_END_ON_USE, holder_kind, holder_id, older_than, now)
    return [EndedSecret(row["id"], row["digest"]) for row in rows]


async def note_late_use_of_secret(connection: Connection, secret_id: str, now: datetime) -> None:
    """Store that a secret was presented after its end."""
    await connection.execute(_NOTE_LATE_USE, secret_id, now)


def read_secret(row: Row) -> Secret:
    """Return the secret in a row with `SECRET_COLUMNS`."""
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
