"""Signs what the authority says. A private key lives and dies with the process; its public half is in the database.

So every process has its own keys, and there is none at rest that could be stolen. A key is published again every minute
as long as its process uses it, and stays for an hour after the last time. The key that takes another's place is
published a while before it signs. A process's first key signs at once: a guard that cannot fetch it in time refuses
that push, and learns of the change by its next sync.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.token_authority.storage.signing_keys import publish_signing_key, withdraw_signing_keys
from shared.contract.change import SIGNATURE_ALGORITHM
from shared.runtime.postgres import Database, DatabaseUnavailable

RENEW_EVERY_S: Final = 60.0
ROTATE_EVERY_S: Final = 86_400.0
REST_S: Final = 10.0
"""From a key's publication to its first signature, so that guards can have fetched it."""
KEPT: Final = timedelta(hours=1)


class _Key(NamedTuple):
    """`made_at` is of the signer's clock."""

    kid: str
    private: Ed25519PrivateKey
    made_at: float


class Signer:
    """One a process; `prepare` it before its first signature."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float],
        renew_every_s: float = RENEW_EVERY_S,
        rotate_every_s: float = ROTATE_EVERY_S,
        rest_s: float = REST_S,
    ) -> None:
        self._database = database
        self._clock = clock
        self._renew_every_s = renew_every_s
        self._rotate_every_s = rotate_every_s
        self._rest_s = rest_s
        self._key = self._new_key()

    async def prepare(self) -> None:
        """Publish the first key."""
        await self._publish(self._key)

    def sign(self, claims: dict[str, Any], media_type: str) -> str:
        """A JWT (RFC 7519) of this `typ`."""
        headers = {"typ": media_type, "kid": self._key.kid}
        return jwt.encode(claims, self._key.private, algorithm=SIGNATURE_ALGORITHM, headers=headers)

    async def run(self) -> None:
        """Keep the key published, and put another in its place when it is old, until cancelled."""
        while True:
            await asyncio.sleep(self._renew_every_s)
            with contextlib.suppress(DatabaseUnavailable):
                await self._publish(self._key)
                await withdraw_signing_keys(self._database, KEPT)
                if self._clock() - self._key.made_at >= self._rotate_every_s:
                    await self._rotate()

    async def _rotate(self) -> None:
        key = self._new_key()
        await self._publish(key)
        await asyncio.sleep(self._rest_s)
        self._key = key

    async def _publish(self, key: _Key) -> None:
        await publish_signing_key(self._database, key.kid, key.private.public_key().public_bytes_raw())

    def _new_key(self) -> _Key:
        return _Key(secrets.token_hex(8), Ed25519PrivateKey.generate(), self._clock())
