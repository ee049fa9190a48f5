"""The keys that the authority signs with: shared, encrypted at rest, rotated, and believed only where they are ours."""

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
from tests.support.stack import CLIENT_SECRET, KEY_ENCRYPTION_KEY, Authority, basic, token_authority

OTHER_SECRET = secrets.token_urlsafe(32)
JWT = "application/token-introspection+jwt"


@pytest.fixture
async def second(
    authority: Authority, database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> AsyncGenerator[Authority, None]:
    """Another authority on the same database."""
    async with token_authority(database, redis_url, tmp_path) as running:
        yield running


async def test_a_key_at_rest_cannot_be_read_without_the_secret(authority: Authority, database: ClonedDatabase) -> None:
    (row,) = await fetch(database.admin_url, "SELECT * FROM token_authority.signing_key")
    encrypted = Encrypted(row["nonce"], row["encrypted_private_key"])

    with pytest.raises(DecryptionError):
        Encryptor(read_secrets("X", OTHER_SECRET), PURPOSE).decrypt(encrypted, row["kid"])
    raw = Encryptor(read_secrets("X", KEY_ENCRYPTION_KEY), PURPOSE).decrypt(encrypted, row["kid"])

    assert Ed25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw() == row["public_key"]
    assert not any(raw in value for value in row.values() if isinstance(value, bytes))


async def test_processes_that_start_at_once_make_one_key_and_sign_with_it(
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


async def test_a_second_authority_signs_with_the_same_key(authority: Authority, second: Authority) -> None:
    assert await _signing(authority) == await _signing(second)
    assert await _published(authority) == await _published(second) == [await _signing(authority)]


async def test_a_new_key_is_published_at_once_and_signs_after_a_rest_everywhere(
    authority: Authority, second: Authority, database: ClonedDatabase
) -> None:
    old = await _signing(authority)

    made = await authority.manage("POST", "/v1/keys/rotate")

    new = made.json["kid"]
    assert (made.status, made.json["state"]) == (201, "next")
    assert (
        timedelta(seconds=9) < _time(made.json["signs_from"]) - _time(made.json["created_at"]) < timedelta(seconds=11)
    )
    assert [await _published(each) for each in (authority, second)] == [[old, new]] * 2
    assert [await _signing(each) for each in (authority, second)] == [old] * 2

    await fetch(database.admin_url, "UPDATE token_authority.signing_key SET signs_from = now() WHERE kid = $1", new)

    await _until(lambda: _signing(authority), new)
    await _until(lambda: _signing(second), new)


async def test_a_rotation_that_is_repeated_gives_the_key_that_waits(authority: Authority, second: Authority) -> None:
    answers = await asyncio.gather(*(each.manage("POST", "/v1/keys/rotate") for each in (authority, second) * 4))

    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.json["kid"] for answer in answers}) == 1
    assert len(await _published(authority)) == 2


async def test_what_a_retired_key_has_signed_is_verified_for_an_hour(
    authority: Authority, database: ClonedDatabase
) -> None:
    old, signed = await _signing(authority), await _signed(authority)
    new = (await authority.manage("POST", "/v1/keys/rotate")).json["kid"]

    await _let_pass(database, timedelta(minutes=59))
    await _until(lambda: _signing(authority), new)
    keys = jwt.PyJWKSet.from_dict((await authority("GET", "/.well-known/jwks.json")).json)

    assert jwt.decode(signed, keys[old], algorithms=["EdDSA"], audience="polls")["token_introspection"]
    listed = (await authority.manage("GET", "/v1/keys")).json["items"]
    assert [(key["kid"], key["state"]) for key in listed] == [(old, "retired"), (new, "signing")]
    until, signs_from = _time(listed[0]["published_until"]), _time(listed[1]["signs_from"])
    assert (until - signs_from, listed[1]["published_until"]) == (timedelta(hours=1), None)

    await _let_pass(database, timedelta(minutes=2))

    await _until(lambda: _published(authority), [new])
    assert await _signing(authority) == new


async def test_a_key_of_thirty_days_gets_a_successor(authority: Authority, database: ClonedDatabase) -> None:
    old = await _signing(authority)
    await _let_pass(database, timedelta(days=29))
    assert await _published(authority) == [old]

    await _let_pass(database, timedelta(days=2))

    async def states() -> list[str]:
        return [key["state"] for key in (await authority.manage("GET", "/v1/keys")).json["items"]]

    await _until(states, ["signing", "next"])


async def test_signing_goes_on_while_the_database_is_away_also_with_the_next_key(database: ClonedDatabase) -> None:
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


async def test_a_key_that_is_removed_signs_no_more(authority: Authority, database: ClonedDatabase) -> None:
    stolen = await _signing(authority)

    await fetch(database.admin_url, "DELETE FROM token_authority.signing_key")

    async with asyncio.timeout(5):
        while (signing := await _signing(authority)) == stolen:
            await asyncio.sleep(0.02)
    assert await _published(authority) == [signing]


async def test_who_can_write_to_the_table_cannot_have_a_key_published(
    authority: Authority, database: ClonedDatabase
) -> None:
    ours = await _signing(authority)
    foe = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    insert = (
        "INSERT INTO token_authority.signing_key (kid, public_key, nonce, encrypted_private_key, signs_from)"
        " SELECT 'foe', $1::bytea, substr(sha256(nonce), 1, 12), encrypted_private_key, now()"
        " FROM token_authority.signing_key"
    )

    await fetch(database.admin_url, insert, foe)

    assert await _published(authority) == [ours]
    await fetch(database.admin_url, "DELETE FROM token_authority.signing_key WHERE kid = 'foe'")
    await fetch(database.admin_url, "UPDATE token_authority.signing_key SET public_key = $1", foe)
    keys = (await authority("GET", "/.well-known/jwks.json")).json["keys"]
    assert keys == [key for key in keys if jwt.PyJWK(key).key.public_bytes_raw() != foe]


async def test_another_secret_is_refused_at_start_and_is_taken_with_the_old_one_behind_it(
    authority: Authority, database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"KEY_ENCRYPTION_KEY does not decrypt .* set the secret that encrypted it"):
        async with token_authority(database, redis_url, tmp_path, key_encryption_key=OTHER_SECRET):
            pass
    both = f"{OTHER_SECRET} {KEY_ENCRYPTION_KEY}"
    async with token_authority(database, redis_url, tmp_path, key_encryption_key=both) as changed:
        assert await _signing(changed) == await _signing(authority)
        assert (await changed.manage("POST", "/v1/keys/rotate")).status == 201
    await _let_pass(database, timedelta(minutes=1))

    async with token_authority(database, redis_url, tmp_path, key_encryption_key=OTHER_SECRET) as changed:
        assert (await changed.introspect(mint("pgt"))).json == {"active": False}


@pytest.mark.parametrize("headers", [{}, basic("polls", CLIENT_SECRET), {"Authorization": f"Bearer {mint('pga')}"}])
async def test_only_an_administrator_sees_and_rotates_keys(authority: Authority, headers: dict[str, str]) -> None:
    answers = [await authority("GET", "/v1/keys", headers=headers)]
    answers.append(await authority("POST", "/v1/keys/rotate", headers=headers))

    assert [answer.status for answer in answers] == [401, 401]
    assert len(await _published(authority)) == 1


async def _signed(authority: Authority) -> str:
    """An introspection answer."""
    headers = {**basic("polls", CLIENT_SECRET), "Accept": JWT}
    return (await authority("POST", "/oauth2/introspect", data={"token": "x"}, headers=headers)).body.decode()


async def _signing(authority: Authority) -> str:
    return _kid(await _signed(authority))


async def _published(authority: Authority) -> list[str]:
    return [key["kid"] for key in (await authority("GET", "/.well-known/jwks.json")).json["keys"]]


async def _let_pass(database: ClonedDatabase, time: timedelta) -> None:
    await fetch(
        database.admin_url, "UPDATE token_authority.signing_key SET signs_from = signs_from - $1::interval", time
    )


async def _until(state: Callable[[], Coroutine[None, None, Any]], expected: Any) -> None:
    async with asyncio.timeout(6):
        while await state() != expected:
            await asyncio.sleep(0.05)


def _kid(signed: str) -> str:
    return str(jwt.get_unverified_header(signed)["kid"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
