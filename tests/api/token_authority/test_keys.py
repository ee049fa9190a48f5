"""Signing keys: shared by all processes, encrypted at rest, rotated, and protected against inserted ones."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.token_authority.domain.actor import SYSTEM
from services.token_authority.tasks.signing import PURPOSE, Signer
from shared.contract.token import mint
from shared.runtime.crypto.encryption import DecryptionError, Encrypted, Encryptor, read_secrets
from shared.runtime.postgres.database import DatabaseUnavailable
from shared.runtime.postgres.database import database as opened
from shared.runtime.process.clock import elapsed_s
from shared.runtime.process.environment import SettingsError
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import CLIENT_SECRET, KEY_ENCRYPTION_KEY, Authority, basic_auth, run_token_authority

OTHER_SECRET = secrets.token_urlsafe(32)
JWT = "application/token-introspection+jwt"


@pytest.fixture
async def second(
    authority: Authority, database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> AsyncGenerator[Authority, None]:
    """Start another authority on the same database."""
    async with run_token_authority(database, redis_url, tmp_path) as running:
        yield running


async def test_stored_private_key_cannot_be_read_without_secret(authority: Authority, database: ClonedDatabase) -> None:
    (row,) = await fetch(database.admin_url, "SELECT * FROM token_authority.signing_key")
    encrypted = Encrypted(row["nonce"], row["encrypted_private_key"])

    with pytest.raises(DecryptionError):
        Encryptor(read_secrets("X", OTHER_SECRET), PURPOSE).decrypt(encrypted, row["kid"])
    raw = Encryptor(read_secrets("X", KEY_ENCRYPTION_KEY), PURPOSE).decrypt(encrypted, row["kid"])

    assert Ed25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw() == row["public_key"]
    assert not any(raw in value for value in row.values() if isinstance(value, bytes))


async def test_concurrent_first_starts_create_one_key_and_sign_with_it(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    encryptor = Encryptor(read_secrets("X", KEY_ENCRYPTION_KEY), PURPOSE)
    async with opened(database.token_authority_url, size=8, statement_cache=0) as pool:
        signers = [Signer(pool, encryptor, clock=elapsed_s) for _ in range(8)]
        await asyncio.gather(*(signer.load() for signer in signers))

    kids = {_kid(signer.sign({}, "x")) for signer in signers}

    assert kids == {
        row["kid"] for row in await fetch(database.admin_url, "SELECT kid FROM token_authority.signing_key")
    }
    assert len(kids) == 1


async def test_second_authority_signs_with_same_key(authority: Authority, second: Authority) -> None:
    assert await _signing_kid(authority) == await _signing_kid(second)
    assert await _published_kids(authority) == await _published_kids(second) == [await _signing_kid(authority)]


async def test_rotated_key_is_published_immediately_and_signs_later_everywhere(
    authority: Authority, second: Authority, database: ClonedDatabase
) -> None:
    old = await _signing_kid(authority)

    made = await authority.manage("POST", "/v1/keys/rotate")

    new = made.json["kid"]
    assert (made.status, made.json["state"]) == (201, "next")
    assert (
        timedelta(seconds=9) < _time(made.json["signs_from"]) - _time(made.json["created_at"]) < timedelta(seconds=11)
    )
    assert [await _published_kids(each) for each in (authority, second)] == [[old, new]] * 2
    assert [await _signing_kid(each) for each in (authority, second)] == [old] * 2

    await fetch(database.admin_url, "UPDATE token_authority.signing_key SET signs_from = now() WHERE kid = $1", new)

    await _wait_until(lambda: _signing_kid(authority), new)
    await _wait_until(lambda: _signing_kid(second), new)


async def test_repeated_rotation_returns_next_key(authority: Authority, second: Authority) -> None:
    answers = await asyncio.gather(*(each.manage("POST", "/v1/keys/rotate") for each in (authority, second) * 4))

    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.json["kid"] for answer in answers}) == 1
    assert len(await _published_kids(authority)) == 2


async def test_retired_key_verifies_signatures_for_an_hour(authority: Authority, database: ClonedDatabase) -> None:
    old, signed = await _signing_kid(authority), await _sign(authority)
    new = (await authority.manage("POST", "/v1/keys/rotate")).json["kid"]

    await _age_keys(database, timedelta(minutes=59))
    await _wait_until(lambda: _signing_kid(authority), new)
    keys = jwt.PyJWKSet.from_dict((await authority("GET", "/.well-known/jwks.json")).json)

    assert jwt.decode(signed, keys[old], algorithms=["EdDSA"], audience="polls")["token_introspection"]
    listed = (await authority.manage("GET", "/v1/keys")).json["items"]
    assert [(key["kid"], key["state"]) for key in listed] == [(old, "retired"), (new, "signing")]
    until, signs_from = _time(listed[0]["published_until"]), _time(listed[1]["signs_from"])
    assert (until - signs_from, listed[1]["published_until"]) == (timedelta(hours=1), None)

    await _age_keys(database, timedelta(minutes=2))

    await _wait_until(lambda: _published_kids(authority), [new])
    assert await _signing_kid(authority) == new


async def test_key_older_than_thirty_days_is_rotated(authority: Authority, database: ClonedDatabase) -> None:
    old = await _signing_kid(authority)
    await _age_keys(database, timedelta(days=29))
    assert await _published_kids(authority) == [old]

    await _age_keys(database, timedelta(days=2))

    async def states() -> list[str]:
        return [key["state"] for key in (await authority.manage("GET", "/v1/keys")).json["items"]]

    await _wait_until(states, ["signing", "next"])


async def test_signing_continues_while_database_is_unavailable(database: ClonedDatabase) -> None:
    async with opened(database.token_authority_url, size=2, statement_cache=0) as pool:
        signer = Signer(
            pool, Encryptor(read_secrets("X", KEY_ENCRYPTION_KEY), PURPOSE), clock=elapsed_s, published_before_s=0.3
        )
        await signer.load()
        new = (await signer.rotate(SYSTEM)).key.key.kid
        old = next(each.key.kid for each in await signer.published_keys() if each.key.kid != new)
        await pool.close()
        with pytest.raises(DatabaseUnavailable):
            await pool.ping()

        assert [each.key.kid for each in await signer.published_keys()] == [old, new]
        assert _kid(signer.sign({}, "x")) == old
        async with asyncio.timeout(5):
            while _kid(signer.sign({}, "x")) != new:
                await asyncio.sleep(0.02)


async def test_deleted_key_no_longer_signs(authority: Authority, database: ClonedDatabase) -> None:
    stolen = await _signing_kid(authority)

    await fetch(database.admin_url, "DELETE FROM token_authority.signing_key")

    async with asyncio.timeout(5):
        while (signing := await _signing_kid(authority)) == stolen:
            await asyncio.sleep(0.02)
    assert await _published_kids(authority) == [signing]


async def test_key_inserted_by_attacker_is_not_published(authority: Authority, database: ClonedDatabase) -> None:
    ours = await _signing_kid(authority)
    foe = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    insert = (
        "INSERT INTO token_authority.signing_key (kid, public_key, nonce, encrypted_private_key, signs_from)"
        " SELECT 'foe', $1::bytea, substr(sha256(nonce), 1, 12), encrypted_private_key, now()"
        " FROM token_authority.signing_key"
    )

    await fetch(database.admin_url, insert, foe)

    assert await _published_kids(authority) == [ours]
    await fetch(database.admin_url, "DELETE FROM token_authority.signing_key WHERE kid = 'foe'")
    await fetch(database.admin_url, "UPDATE token_authority.signing_key SET public_key = $1", foe)
    keys = (await authority("GET", "/.well-known/jwks.json")).json["keys"]
    assert keys == [key for key in keys if jwt.PyJWK(key).key.public_bytes_raw() != foe]


async def test_start_with_other_key_encryption_key_fails_and_with_both_succeeds(
    authority: Authority, database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"KEY_ENCRYPTION_KEY does not decrypt .* set the secret that encrypted it"):
        async with run_token_authority(database, redis_url, tmp_path, key_encryption_key=OTHER_SECRET):
            pass
    both = f"{OTHER_SECRET} {KEY_ENCRYPTION_KEY}"
    async with run_token_authority(database, redis_url, tmp_path, key_encryption_key=both) as changed:
        assert await _signing_kid(changed) == await _signing_kid(authority)
        assert (await changed.manage("POST", "/v1/keys/rotate")).status == 201
    await _age_keys(database, timedelta(minutes=1))

    async with run_token_authority(database, redis_url, tmp_path, key_encryption_key=OTHER_SECRET) as changed:
        assert (await changed.introspect(mint("pgt"))).json == {"active": False}


@pytest.mark.parametrize(
    "headers", [{}, basic_auth("polls", CLIENT_SECRET), {"Authorization": f"Bearer {mint('pga')}"}]
)
async def test_list_and_rotate_keys_require_admin_role(authority: Authority, headers: dict[str, str]) -> None:
    answers = [await authority("GET", "/v1/keys", headers=headers)]
    answers.append(await authority("POST", "/v1/keys/rotate", headers=headers))

    assert [answer.status for answer in answers] == [401, 401]
    assert len(await _published_kids(authority)) == 1


async def _sign(authority: Authority) -> str:
    """Return a signed introspection response."""
    headers = {**basic_auth("polls", CLIENT_SECRET), "Accept": JWT}
    return (await authority("POST", "/oauth2/introspect", data={"token": "x"}, headers=headers)).body.decode()


async def _signing_kid(authority: Authority) -> str:
    return _kid(await _sign(authority))


async def _published_kids(authority: Authority) -> list[str]:
    return [key["kid"] for key in (await authority("GET", "/.well-known/jwks.json")).json["keys"]]


async def _age_keys(database: ClonedDatabase, time: timedelta) -> None:
    await fetch(
        database.admin_url, "UPDATE token_authority.signing_key SET signs_from = signs_from - $1::interval", time
    )


async def _wait_until(state: Callable[[], Coroutine[None, None, Any]], expected: Any) -> None:
    async with asyncio.timeout(6):
        while await state() != expected:
            await asyncio.sleep(0.05)


def _kid(signed: str) -> str:
    return str(jwt.get_unverified_header(signed)["kid"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
