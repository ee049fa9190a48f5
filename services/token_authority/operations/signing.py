"""Signs what the authority says, with a key that all its processes share.

The keys are in the database, their private halves encrypted with a secret that it does not have. A process opens each
once and keeps it in memory, so it goes on signing while the database is away. A key that takes another's place is
published a while before it signs; the first of all signs at once, for there is none yet whose place it takes.

A key that does not open is neither used nor published, for whoever can write to the table may have put it there.
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
from services.token_authority.domain.audit import Entry
from services.token_authority.domain.signing_key import KEPT, ROTATED_AFTER, PublishedKey, SigningKey
from services.token_authority.storage.audit import append_audit
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
"""How often a process looks for the keys that others have made or removed."""
REST_S: Final = 10.0
"""From a key's publication to its first signature, so that processes and guards can have fetched it."""

_REMEDY: Final = (
    "set the one that encrypted it, alone or behind a new one. If that is lost, run "
    "DELETE FROM token_authority.signing_key as the owner of the database and start again: a new signing key is made"
)

_log = structlog.get_logger()


class Rotation(NamedTuple):
    """The key that signs next; `made` where it was not so before."""

    key: PublishedKey
    made: bool


class _OpenKey(NamedTuple):
    """`signs_at` is of the signer's clock."""

    kid: str
    private: Ed25519PrivateKey
    signs_at: float
    published: PublishedKey


class Signer:
    """One a process; `prepare` it before its first signature."""

    def __init__(
        self,
        database: Database,
        encryptor: Encryptor,
        *,
        clock: Callable[[], float],
        refresh_s: float = REFRESH_S,
        rest_s: float = REST_S,
    ) -> None:
        self._database = database
        self._encryptor = encryptor
        self._clock = clock
        self._refresh_s = refresh_s
        self._rest = timedelta(seconds=rest_s)
        self._keys: list[_OpenKey] = []
        """In the order in which they sign."""
        self._unopened: set[str] = set()

    async def prepare(self) -> None:
        """Read the keys, or make the first. Raises `SettingsError` where one that is to sign does not open."""
        keys = await self._select_or_make()
        self._take(keys)
        for each in keys:
            if each.state != "retired" and each.key.kid in self._unopened:
                raise SettingsError(f"KEY_ENCRYPTION_KEY does not decrypt the signing key {each.key.kid}; {_REMEDY}")

    def sign(self, claims: dict[str, Any], media_type: str) -> str:
        """A JWT (RFC 7519) of this `typ`."""
        now = self._clock()
        key = next((key for key in reversed(self._keys) if key.signs_at <= now), self._keys[0])
        headers = {"typ": media_type, "kid": key.kid}
        return jwt.encode(claims, key.private, algorithm=SIGNATURE_ALGORITHM, headers=headers)

    async def published(self) -> list[PublishedKey]:
        """The keys that signatures can be verified with; those known so far while the database is away."""
        with contextlib.suppress(DatabaseUnavailable):
            self._take(await self._select_or_make())
        return [key.published for key in self._keys]

    async def rotate(self, by: Actor) -> Rotation:
        """Publish a key that signs after a rest, unless there is one that waits to. Raises `DatabaseUnavailable`."""
        async with self._database.transaction() as transaction:
            await lock_signing_keys(transaction)
            for each in await select_signing_keys(transaction):
                if each.state == "next":
                    return Rotation(each, made=False)
            kid = await self._make(transaction, self._rest)
            await append_audit(transaction, [Entry(by, "signing_key.rotate", f"signing_key:{kid}")])
            (key,) = (each for each in await select_signing_keys(transaction) if each.key.kid == kid)
        _log.info("a new signing key is published", kid=kid, signs_from=key.key.signs_from.isoformat())
        return Rotation(key, made=True)

    async def run(self) -> None:
        """Follow what others do to the keys, rotate what is old and remove what is retired, until cancelled."""
        while True:
            await asyncio.sleep(self._refresh_s)
            with contextlib.suppress(DatabaseUnavailable):
                keys = await self._select_or_make()
                self._take(keys)
                if keys[-1].age >= ROTATED_AFTER:
                    await self.rotate(SYSTEM)
                if keys[0].state == "retired":
                    await self._withdraw()

    async def _withdraw(self) -> None:
        async with self._database.transaction() as transaction:
            kids = await withdraw_signing_keys(transaction, KEPT)
            entries = [Entry(SYSTEM, "signing_key.withdraw", f"signing_key:{kid}") for kid in kids]
            if entries:
                await append_audit(transaction, entries)

    async def _select_or_make(self) -> list[PublishedKey]:
        keys = await select_signing_keys(self._database)
        if keys:
            return keys
        async with self._database.transaction() as transaction:
            await lock_signing_keys(transaction)
            if not await select_signing_keys(transaction):
                kid = await self._make(transaction, timedelta())
                await append_audit(transaction, [Entry(SYSTEM, "signing_key.make", f"signing_key:{kid}")])
            return await select_signing_keys(transaction)

    async def _make(self, transaction: Connection, rest: timedelta) -> str:
        kid, private = secrets.token_hex(8), Ed25519PrivateKey.generate()
        encrypted = self._encryptor.encrypt(private.private_bytes_raw(), kid)
        await insert_signing_key(
            *(transaction, kid),
            public_key=private.public_key().public_bytes_raw(),
            nonce=encrypted.nonce,
            encrypted_private_key=encrypted.ciphertext,
            rest=rest,
        )
        return kid

    def _take(self, keys: list[PublishedKey]) -> None:
        """Where none of them opens, those known so far go on."""
        now = self._clock()
        known = {key.kid: key.private for key in self._keys}
        opened = [(each, known.get(each.key.kid) or self._opened(each.key)) for each in keys]
        self._keys = [
            _OpenKey(each.key.kid, private, now - each.age.total_seconds(), each)
            for each, private in opened
            if private and private.public_key().public_bytes_raw() == each.key.public_key
        ] or self._keys
        self._note_unopened({each.key.kid for each in keys} - {key.kid for key in self._keys})

    def _opened(self, key: SigningKey) -> Ed25519PrivateKey | None:
        try:
            raw = self._encryptor.decrypt(Encrypted(key.nonce, key.encrypted_private_key), key.kid)
        except DecryptionError:
            return None
        return Ed25519PrivateKey.from_private_bytes(raw)

    def _note_unopened(self, kids: set[str]) -> None:
        for kid in kids - self._unopened:
            _log.error(
                "a signing key is not used, for KEY_ENCRYPTION_KEY does not decrypt it; give every process the same",
                kid=kid,
            )
        self._unopened = kids
