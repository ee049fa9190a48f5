"""Start, find and end sessions of token holders.

A session is a random secret in a cookie. The database has its SHA-256, and the token encrypted under a key that is
derived from the secret, so it can be read only during a request with the cookie. A session ends when it was not used
for a while, after some hours, and by signing out. Whether its token works is for the guard to say, at each request.
"""

import hashlib
import secrets
from datetime import UTC, datetime
from typing import Final

from services.polls.domain.session import StoredSession
from services.polls.storage import sessions
from shared.runtime.crypto.encryption import DecryptionError, Encrypted, Encryptor
from shared.runtime.pages.session_limits import SessionLimits
from shared.runtime.postgres.database import Database

SECRET_BYTES: Final = 32
_PURPOSE: Final = "session of a token holder"


class Sessions:
    """Starts, finds and ends sessions. Create one instance per process."""

    def __init__(self, database: Database, limits: SessionLimits) -> None:
        self._database = database
        self._limits = limits

    async def start(self, token: str) -> str:
        """Start a session with a token. Return its secret."""
        secret, now = secrets.token_urlsafe(SECRET_BYTES), datetime.now(UTC)
        digest = _digest(secret)
        encrypted = _encryptor(secret).encrypt(token.encode(), digest.hex())
        await sessions.insert_session(self._database, digest, StoredSession(*encrypted, now, now))
        return secret

    async def find_token(self, secret: str) -> str | None:
        """Return the token of the session with this secret, and store that it is in use; `None` if it is over."""
        digest, now = _digest(secret), datetime.now(UTC)
        session = await sessions.select_session(self._database, digest, self._limits, now)
        if session is None:
            return None
        try:
            token = _encryptor(secret).decrypt(Encrypted(session.nonce, session.ciphertext), digest.hex())
        except DecryptionError:
            return None
        if now - session.last_seen_at > self._limits.seen_interval:
            await sessions.note_use_of_session(self._database, digest, now)
        return token.decode()

    async def is_open(self, secret: str) -> bool:
        """Return whether the session with this secret is not over. This does not count as a use of it."""
        return (
            await sessions.select_session(self._database, _digest(secret), self._limits, datetime.now(UTC)) is not None
        )

    async def end(self, secret: str) -> None:
        """End the session with this secret. A repetition changes nothing."""
        await sessions.delete_session(self._database, _digest(secret))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _encryptor(secret: str) -> Encryptor:
    return Encryptor([secret.encode()], _PURPOSE)
