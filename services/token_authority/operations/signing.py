"""Signs what the authority says. A private key lives and dies with the process; its public half is in the database.

So every process has its own keys, and there is none at rest that could be stolen. The key that takes another's place is
published a while before it signs; each stays published long after. A process's first key signs at once: a guard that
cannot fetch it in time refuses that push, and learns of the change by its next sync.
"""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.token_authority.storage.signing_keys import delete_signing_keys, insert_signing_key
from shared.contract.change import SIGNATURE_ALGORITHM
from shared.runtime.postgres import Database, DatabaseUnavailable

ROTATE_EVERY_S: Final = 86_400.0
REST_S: Final = 10.0
"""From a key's publication to its first signature, so that guards can have fetched it."""
KEPT: Final = timedelta(days=3)
RETRY_S: Final = 5.0


class _Key(NamedTuple):
    kid: str
    private: Ed25519PrivateKey


class Signer:
    """One a process; `prepare` it before its first signature."""

    def __init__(self, database: Database, *, rotate_every_s: float = ROTATE_EVERY_S, rest_s: float = REST_S) -> None:
        self._database = database
        self._rotate_every_s = rotate_every_s
        self._rest_s = rest_s
        self._key: _Key

    async def prepare(self) -> None:
        """Make and publish the first key."""
        self._key = await self._publish_key()

    def sign(self, claims: dict[str, Any], media_type: str) -> str:
        """A JWT (RFC 7519) of this `typ`."""
        headers = {"typ": media_type, "kid": self._key.kid}
        return jwt.encode(claims, self._key.private, algorithm=SIGNATURE_ALGORITHM, headers=headers)

    async def run(self) -> None:
        """Rotate the key until cancelled."""
        pause_s = self._rotate_every_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                key = await self._publish_key()
                await delete_signing_keys(self._database, datetime.now(UTC) - KEPT)
            except DatabaseUnavailable:
                pause_s = RETRY_S
                continue
            await asyncio.sleep(self._rest_s)
            self._key, pause_s = key, self._rotate_every_s

    async def _publish_key(self) -> _Key:
        key = _Key(secrets.token_hex(8), Ed25519PrivateKey.generate())
        await insert_signing_key(self._database, key.kid, key.private.public_key().public_bytes_raw())
        return key
