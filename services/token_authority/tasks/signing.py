"""Sign JWTs with a key that all processes of the authority share, and rotate that key.

The keys are in the database, their private halves encrypted with a secret that is not stored there. A process decrypts
each once and keeps it in memory, so it can sign while the database is unavailable. A new key is published for a while
before it signs; the very first signs immediately, because it replaces none.

A key that cannot be decrypted is neither used nor published: it may come from an attacker with write access to the
table.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.token_authority.domain.actor import SYSTEM, Actor
from services.token_authority.domain.audit import AuditEntry
from services.token_authority.domain.errors import Restored
from services.token_authority.domain.signing_key import KEPT, ROTATED_AFTER, KeyRotation, PublishedKey, SigningKey
from services.token_authority.storage.audit import audited_transaction
from services.token_authority.storage.signing_keys import (
    insert_signing_key,
    lock_signing_keys,
    select_signing_keys,
    withdraw_signing_keys,
)
from shared.contract.change import SIGNATURE_ALGORITHM
from shared.runtime.crypto.encryption import DecryptionError, Encrypted, Encryptor
from shared.runtime.postgres.database import Connection, Database, DatabaseUnavailable
from shared.runtime.process.environment import SettingsError

PURPOSE: Final = "pollgate token authority: signing keys"
REFRESH_S: Final = 2.0
"""Between two reads of the keys that other processes have created or deleted."""
PUBLISHED_BEFORE_S: Final = 10.0
"""From a key's publication to its first signature: time for processes and guards to fetch it."""

_REMEDY: Final = (
    "set the secret that encrypted it, alone or after a new one. If that is lost, run "
    "DELETE FROM token_authority.signing_key as the owner of the database and start again: a new signing key is created"
)

_log = structlog.get_logger()


class _PrivateKey(NamedTuple):
    """A decrypted key. It signs from `signs_at` on, on the signer's clock."""

    kid: str
    private: Ed25519PrivateKey
    signs_at: float
    published: PublishedKey


class Signer:
    """Signs JWTs. Create one instance per process, call `load()` before `sign()`, and supervise its `run()`."""

    def __init__(
        self,
        database: Database,
        encryptor: Encryptor,
        *,
        clock: Callable[[], float],
        refresh_s: float = REFRESH_S,
        published_before_s: float = PUBLISHED_BEFORE_S,
    ) -> None:
        self._database = database
        self._encryptor = encryptor
        self._clock = clock
        self._refresh_s = refresh_s
        self._published_before = timedelta(seconds=published_before_s)
        self._keys: list[_PrivateKey] = []
        """In the order in which they sign."""
        self._undecryptable: set[str] = set()

    async def load(self) -> None:
        """Read the keys, or create the first one. Raise `SettingsError` if a current key cannot be decrypted."""
        keys = await self._select_or_create()
        self._use(keys)
        for each in keys:
            if each.state != "retired" and each.key.kid in self._undecryptable:
                raise SettingsError(f"KEY_ENCRYPTION_KEY does not decrypt the signing key {each.key.kid}; {_REMEDY}")

    def sign(self, claims: dict[str, Any], media_type: str) -> str:
        """Return a signed JWT (RFC 7519) with this `typ`."""
        now = self._clock()
        key = next((key for key in reversed(self._keys) if key.signs_at <= now), self._keys[0])
        headers = {"typ": media_type, "kid": key.kid}
        return jwt.encode(claims, key.private, algorithm=SIGNATURE_ALGORITHM, headers=headers)

    @property
    def oldest_key_age(self) -> timedelta:
        """The time since the oldest key that is published began to sign."""
        return max(key.published.age for key in self._keys)

    async def published_keys(self) -> list[PublishedKey]:
        """Return the keys that verify signatures; the last known ones while the database is unavailable."""
        with contextlib.suppress(DatabaseUnavailable):
            self._use(await self._select_or_create())
        return [key.published for key in self._keys]

    async def rotate(self, by: Actor) -> KeyRotation:
        """Publish a new key, or return the one that is published and does not sign yet. Raise `DatabaseUnavailable`."""
        async with audited_transaction(self._database) as transaction:
            await lock_signing_keys(transaction)
            for each in await select_signing_keys(transaction):
                if each.state == "next":
                    transaction.declare_unchanged()
                    return KeyRotation(each, created=False)
            kid = await self._create(transaction, self._published_before)
            await transaction.record(AuditEntry(by, "signing_key.rotate", f"signing_key:{kid}"))
            (key,) = (each for each in await select_signing_keys(transaction) if each.key.kid == kid)
        _log.info("new signing key published", kid=kid, signs_from=key.key.signs_from.isoformat())
        return KeyRotation(key, created=True)

    async def run(self) -> None:
        """Read the keys at an interval, rotate an old one and delete retired ones, until cancelled."""
        while True:
            await asyncio.sleep(self._refresh_s)
            with contextlib.suppress(DatabaseUnavailable, Restored):
                keys = await self._select_or_create()
                self._use(keys)
                if keys[-1].age >= ROTATED_AFTER:
                    await self.rotate(SYSTEM)
                if keys[0].state == "retired":
                    await self._withdraw()

    async def _withdraw(self) -> None:
        async with audited_transaction(self._database) as transaction:
            kids = await withdraw_signing_keys(transaction, KEPT)
            await transaction.record(
                *(AuditEntry(SYSTEM, "signing_key.withdraw", f"signing_key:{kid}") for kid in kids)
            )

    async def _select_or_create(self) -> list[PublishedKey]:
        keys = await select_signing_keys(self._database)
        if keys:
            return keys
        async with audited_transaction(self._database, during_restoration=True) as transaction:
            await lock_signing_keys(transaction)
            if await select_signing_keys(transaction):
                transaction.declare_unchanged()
            else:
                kid = await self._create(transaction, timedelta())
                await transaction.record(AuditEntry(SYSTEM, "signing_key.make", f"signing_key:{kid}"))
            return await select_signing_keys(transaction)

    async def _create(self, transaction: Connection, published_before: timedelta) -> str:
        kid, private = secrets.token_hex(8), Ed25519PrivateKey.generate()
        encrypted = self._encryptor.encrypt(private.private_bytes_raw(), kid)
        await insert_signing_key(
            transaction,
            kid,
            public_key=private.public_key().public_bytes_raw(),
            nonce=encrypted.nonce,
            encrypted_private_key=encrypted.ciphertext,
            published_before=published_before,
        )
        return kid

    def _use(self, keys: list[PublishedKey]) -> None:
        """Use these keys; keep the current ones if none of these can be decrypted."""
        now = self._clock()
        known = {key.kid: key.private for key in self._keys}
        decrypted = [(each, known.get(each.key.kid) or self._decrypt(each.key)) for each in keys]
        self._keys = [
            _PrivateKey(each.key.kid, private, now - each.age.total_seconds(), each)
            for each, private in decrypted
            if private and private.public_key().public_bytes_raw() == each.key.public_key
        ] or self._keys
        self._report_undecryptable({each.key.kid for each in keys} - {key.kid for key in self._keys})

    def _decrypt(self, key: SigningKey) -> Ed25519PrivateKey | None:
        try:
            raw = self._encryptor.decrypt(Encrypted(key.nonce, key.encrypted_private_key), key.kid)
        except DecryptionError:
            return None
        return Ed25519PrivateKey.from_private_bytes(raw)

    def _report_undecryptable(self, kids: set[str]) -> None:
        for kid in kids - self._undecryptable:
            _log.error(
                "KEY_ENCRYPTION_KEY does not decrypt a signing key, so it is not used; set the same in every process",
                kid=kid,
            )
        self._undecryptable = kids
