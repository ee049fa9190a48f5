"""Sessions of administrators and sign-in links in PostgreSQL, each found by the SHA-256 of its secret."""

from datetime import datetime
from typing import Final

from services.token_authority.domain.administrator import Rights
from services.token_authority.domain.session import Session
from services.token_authority.storage.restoration import IS_RESTORED, require_not_restored
from shared.contract.scope import Scope
from shared.runtime.pages.session_limits import SessionLimits
from shared.runtime.postgres.database import Connection, Row

_SELECT: Final = f"""
    -- select_session: the session with this secret, unless it is over, or the rights of its admin key are others
    -- now; and whether the database was restored
    SELECT state.is_restored, s.id, s.admin_key_id, s.person_id, coalesce(a.name, s.person_name) AS name,
           s.person_group, s.issuer, s.role, s.sites, s.scopes, s.created_at, s.last_seen_at
    FROM (SELECT {IS_RESTORED}) AS state
    LEFT JOIN (
        token_authority.session s
        LEFT JOIN token_authority.admin_key a ON a.id = s.admin_key_id
        LEFT JOIN token_authority.secret k ON k.id = s.secret_id
    ) ON s.digest = $1 AND s.last_seen_at > $3 AND s.created_at > $4
     AND (s.admin_key_id IS NULL OR (
         a.revoked_at IS NULL AND NOT k.ended AND (k.ends_at IS NULL OR k.ends_at > $2)
         AND a.role = s.role AND a.sites IS NOT DISTINCT FROM s.sites AND a.scopes IS NOT DISTINCT FROM s.scopes
     ))
"""  # noqa: S608
_INSERT_BY_SECRET: Final = """
    -- insert_session_by_secret: a session of the admin key with this secret, if both work
    INSERT INTO token_authority.session (
        digest, id, admin_key_id, secret_id, role, sites, scopes, created_at, last_seen_at
    )
    SELECT $1, $2, a.id, k.id, a.role, a.sites, a.scopes, $4, $4
    FROM token_authority.secret k JOIN token_authority.admin_key a ON a.id = k.holder_id
    WHERE k.digest = $3 AND k.holder_kind = 'admin_key' AND NOT k.ended AND (k.ends_at IS NULL OR k.ends_at > $4)
      AND a.revoked_at IS NULL
    RETURNING admin_key_id
"""
_INSERT_BY_LINK: Final = """
    -- insert_session_by_link: a session of the admin key that made the link, which this uses up
    WITH used AS (
        DELETE FROM token_authority.sign_in_link WHERE digest = $3 RETURNING secret_id, expires_at
    )
    INSERT INTO token_authority.session (
        digest, id, admin_key_id, secret_id, role, sites, scopes, created_at, last_seen_at
    )
    SELECT $1, $2, a.id, k.id, a.role, a.sites, a.scopes, $4, $4
    FROM used JOIN token_authority.secret k ON k.id = used.secret_id
    JOIN token_authority.admin_key a ON a.id = k.holder_id
    WHERE used.expires_at > $4 AND NOT k.ended AND (k.ends_at IS NULL OR k.ends_at > $4) AND a.revoked_at IS NULL
    RETURNING admin_key_id
"""
_INSERT_OF_PERSON: Final = """
    -- insert_session_of_person: a session of a person, with the rights of a group
    INSERT INTO token_authority.session (
        digest, id, person_id, person_name, person_group, issuer, role, sites, scopes, created_at, last_seen_at
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
"""
_INSERT_LINK: Final = """
    -- insert_sign_in_link: a link of the admin key with this secret; the oldest ones of that key beyond a few go
    WITH added AS (
        INSERT INTO token_authority.sign_in_link (digest, admin_key_id, secret_id, expires_at)
        SELECT $1, holder_id, id, $3 FROM token_authority.secret WHERE digest = $2 AND holder_kind = 'admin_key'
        RETURNING admin_key_id
    )
    DELETE FROM token_authority.sign_in_link WHERE digest IN (
        SELECT l.digest FROM token_authority.sign_in_link l JOIN added ON added.admin_key_id = l.admin_key_id
        ORDER BY l.expires_at DESC OFFSET $4
    )
"""
_NOTE_USE: Final = """
    -- note_use_of_session: when a session was used last
    UPDATE token_authority.session SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2
"""
_DELETE: Final = """
    -- delete_session: end a session; no row if it is over
    DELETE FROM token_authority.session WHERE id = $1 RETURNING id
"""
_DELETE_ALL: Final = """
    -- delete_sessions: end every session
    DELETE FROM token_authority.session
"""
_DELETE_ALL_LINKS: Final = """
    -- delete_links: remove every link
    DELETE FROM token_authority.sign_in_link
"""
_DELETE_OLD: Final = """
    -- delete_old_sessions: remove sessions that are over
    DELETE FROM token_authority.session WHERE last_seen_at <= $1 OR created_at <= $2
"""
_DELETE_OLD_LINKS: Final = """
    -- delete_old_links: remove links that can no longer be used
    DELETE FROM token_authority.sign_in_link WHERE expires_at <= $1
"""


async def select_session(connection: Connection, digest: bytes, limits: SessionLimits, now: datetime) -> Session | None:
    """Return the session with this secret, if it is not over. Raise `Restored`."""
    (row,) = await connection.fetch(_SELECT, digest, now, now - limits.idle, now - limits.longest)
    require_not_restored(row)
    return _read_session(row) if row["id"] is not None else None


async def insert_session_by_secret(
    connection: Connection, digest: bytes, session_id: str, secret: bytes, now: datetime
) -> str | None:
    """Start a session of the admin key with this secret. Return the key's id; `None` if it does not work."""
    row = await connection.fetchrow(_INSERT_BY_SECRET, digest, session_id, secret, now)
    return row["admin_key_id"] if row else None


async def insert_session_by_link(
    connection: Connection, digest: bytes, session_id: str, link: bytes, now: datetime
) -> str | None:
    """Start a session by a link. Return the id of its admin key; `None` if the link was used, or does not work."""
    row = await connection.fetchrow(_INSERT_BY_LINK, digest, session_id, link, now)
    return row["admin_key_id"] if row else None


async def insert_session_of_person(connection: Connection, digest: bytes, session: Session) -> None:
    """Start a session of a person."""
    rights = session.rights
    scopes = None if rights.scopes is None else [str(scope) for scope in rights.scopes]
    await connection.execute(
        _INSERT_OF_PERSON,
        digest,
        session.id,
        session.actor_id,
        session.name,
        session.group,
        session.issuer,
        rights.role,
        rights.sites,
        scopes,
        session.created_at,
    )


async def insert_sign_in_link(
    connection: Connection, digest: bytes, secret: bytes, expires_at: datetime, *, kept: int
) -> None:
    """Store a link that starts a session of the admin key with this secret. Keep so many older links of the key."""
    await connection.execute(_INSERT_LINK, digest, secret, expires_at, kept)


async def note_use_of_session(connection: Connection, session_id: str, now: datetime) -> None:
    """Store when a session was used last."""
    await connection.execute(_NOTE_USE, session_id, now)


async def delete_session(connection: Connection, session_id: str) -> bool:
    """End a session. Return false if it was over."""
    return await connection.fetchrow(_DELETE, session_id) is not None


async def delete_old_sessions(connection: Connection, limits: SessionLimits, now: datetime) -> None:
    """Remove sessions that are over, and links that can no longer be used."""
    await connection.execute(_DELETE_OLD, now - limits.idle, now - limits.longest)
    await connection.execute(_DELETE_OLD_LINKS, now)


async def delete_sessions(connection: Connection) -> None:
    """End every session, and remove every sign-in link."""
    await connection.execute(_DELETE_ALL)
    await connection.execute(_DELETE_ALL_LINKS)


def _read_session(row: Row) -> Session:
    by_key = row["admin_key_id"] is not None
    return Session(
        id=row["id"],
        actor_kind="admin_key" if by_key else "person",
        actor_id=row["admin_key_id"] if by_key else row["person_id"],
        name=row["name"],
        group=row["person_group"],
        issuer=row["issuer"],
        rights=Rights(
            role=row["role"],
            sites=None if row["sites"] is None else tuple(row["sites"]),
            scopes=None if row["scopes"] is None else tuple(map(Scope.parse, row["scopes"])),
        ),
        created_at=row["created_at"],
        last_seen_at=row["last_seen_at"],
    )
