"""Sessions in PostgreSQL, each found by the SHA-256 of the secret in its cookie."""

from datetime import datetime
from typing import Final

from services.polls.domain.session import StoredSession
from shared.runtime.pages.session_limits import SessionLimits
from shared.runtime.postgres.database import Connection

_INSERT: Final = """
    -- insert_session: a new session
    INSERT INTO polls.session (digest, nonce, ciphertext, created_at, last_seen_at) VALUES ($1, $2, $3, $4, $5)
"""
_SELECT: Final = """
    -- select_session: the session with this secret, unless it is over
    SELECT nonce, ciphertext, created_at, last_seen_at FROM polls.session
    WHERE digest = $1 AND last_seen_at > $2 AND created_at > $3
"""
_NOTE_USE: Final = """
    -- note_use_of_session: when a session was used last
    UPDATE polls.session SET last_seen_at = $2 WHERE digest = $1 AND last_seen_at < $2
"""
_DELETE: Final = """
    -- delete_session: end a session
    DELETE FROM polls.session WHERE digest = $1
"""
_DELETE_OLD: Final = """
    -- delete_old_sessions: remove sessions that are over
    DELETE FROM polls.session WHERE last_seen_at <= $1 OR created_at <= $2
"""


async def insert_session(connection: Connection, digest: bytes, session: StoredSession) -> None:
    """Store a new session."""
    times = (session.created_at, session.last_seen_at)
    await connection.execute(_INSERT, digest, session.nonce, session.ciphertext, *times)


async def select_session(
    connection: Connection, digest: bytes, limits: SessionLimits, now: datetime
) -> StoredSession | None:
    """Return the session with this secret, if it is not over."""
    row = await connection.fetchrow(_SELECT, digest, now - limits.idle, now - limits.longest)
    if row is None:
        return None
    return StoredSession(row["nonce"], row["ciphertext"], row["created_at"], row["last_seen_at"])


async def note_use_of_session(connection: Connection, digest: bytes, now: datetime) -> None:
    """Store when a session was used last."""
    await connection.execute(_NOTE_USE, digest, now)


async def delete_session(connection: Connection, digest: bytes) -> None:
    """End a session, if it is not over."""
    await connection.execute(_DELETE, digest)


async def delete_old_sessions(connection: Connection, limits: SessionLimits, now: datetime) -> None:
    """Remove sessions that are over."""
    await connection.execute(_DELETE_OLD, now - limits.idle, now - limits.longest)
