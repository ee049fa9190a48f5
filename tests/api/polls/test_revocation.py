"""Revocation as seen by an integrator, and the polls service's handling of messages from Redis."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from redis.asyncio import Redis

from shared.contract.change import CHANGES_EVENT, SET_AUDIENCE, SET_TYPE
from shared.contract.redis_names import CHANGES_CHANNEL
from shared.contract.token import digest
from shared.guard.keys import UNKNOWN_KEY_RETRY_S
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.proxy import run_proxy
from tests.support.pushes import read_changes
from tests.support.shared_stack import wait_for_lease
from tests.support.stack import Answer, Authority, Polls, run_polls_service, run_token_authority

LEASE_S = 1.0
LONG_LEASE_S = 3.0
ACCEPTED = "pollgate_guard_push_delay_seconds_count"


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"revocation_lease": LEASE_S}


@pytest.fixture
async def polls(polls: Polls) -> Polls:
    """Return the polls service after it has its first lease."""
    await wait_for_lease(polls)
    return polls


async def test_request_after_response_to_revocation_returns_403(polls: Polls, authority: Authority) -> None:
    for _ in range(20):
        issued = await authority.issue()
        holder = polls.with_token(issued["token"])
        assert (await holder.call("GET")).status == 200

        answer = await authority.revoke(issued["id"])

        assert (await holder.call("GET")).status == 403
        assert answer["guards"] == {"confirmed": 1, "expired": 0}


async def test_requests_after_bulk_revocation_return_403(polls: Polls, authority: Authority) -> None:
    callers = [polls.with_token((await authority.issue(owner="ada"))["token"]) for _ in range(20)]
    for caller in callers:
        assert (await caller.call("GET")).status == 200

    answer = await authority.manage("POST", "/v1/tokens/revoke", {"owner": "ada", "reason": "unneeded"})

    assert answer.json["revocation"]["effective"] is True
    assert {(await caller.call("GET")).status for caller in callers} == {403}
    assert (await polls.call("GET")).status == 200


async def test_revoked_tokens_do_not_count_as_unknown(
    authority: Authority, database: ClonedDatabase, redis_url: str
) -> None:
    async with run_polls_service(database, redis_url, authority.base, unknown_tokens_per_minute=1) as polls:
        polls.endpoint = await authority.get_endpoint()
        await wait_for_lease(polls)
        issued = [await authority.issue() for _ in range(4)]
        holders = [polls.with_token(each["token"]) for each in issued]
        assert {(await holder.call("GET")).status for holder in holders} == {200}

        for each in issued:
            await authority.revoke(each["id"])

        assert {(await holder.call("GET")).status for holder in holders} == {403}


async def test_response_has_age_of_token_validation(polls: Polls) -> None:
    await polls.call("GET")
    ages = []
    for _ in range(12):
        await asyncio.sleep(LEASE_S / 10)
        ages.append(int((await polls.call("GET")).headers["Token-Validated-Age"]))

    assert 0 <= min(ages) <= max(ages) < LEASE_S * 1000
    assert "Token-Validated-Age" in (await polls.call("GET", expand="x")).headers
    assert "Token-Validated-Age" not in (await polls.with_token("x").call("GET")).headers


async def test_no_cache_introspects_token_again(polls: Polls) -> None:
    await polls.call("GET")
    where = f"/x1/{polls.endpoint}?token={polls.token}&type=polls&workspace=PLAT&content=PLAT-1"
    before = await _metric(polls, 'pollgate_guard_cache_total{result="bypassed"}')

    answer = await polls("GET", where, headers={"Cache-Control": "max-age=0, No-Cache"})

    assert (answer.status, await _metric(polls, 'pollgate_guard_cache_total{result="bypassed"}')) == (200, before + 1)


async def test_no_cache_requests_use_lease_while_authority_is_away(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with (
        run_token_authority(database, redis_url, tmp_path, revocation_lease=LONG_LEASE_S) as authority,
        run_proxy(authority.base) as proxy,
        run_polls_service(database, redis_url, proxy.url()) as polls,
    ):
        polls.endpoint, polls.token = await authority.get_endpoint(), (await authority.issue())["token"]
        where = f"/x1/{polls.endpoint}?token={polls.token}&type=polls&workspace=PLAT&content=PLAT-1"

        async def send() -> Answer:
            return await polls("GET", where, headers={"Cache-Control": "no-cache"})

        await wait_for_lease(polls)
        statuses = {answer.status for answer in await asyncio.gather(*(send() for _ in range(50)))}
        proxy.set_mode("refuse")
        during_outage = await asyncio.gather(*(send() for _ in range(20)))

        assert statuses == {answer.status for answer in during_outage} == {200}
        assert 0 <= int(during_outage[-1].headers["Token-Validated-Age"]) < LONG_LEASE_S * 1000
        async with asyncio.timeout(3 * LONG_LEASE_S):
            while (await send()).status == 200:
                await asyncio.sleep(0.05)
        assert (await send()).status == 503


async def test_resource_metadata_has_authority_and_revocation_bound(polls: Polls) -> None:
    answer = await polls("GET", "/.well-known/oauth-protected-resource")

    assert answer.json == {
        "resource": "http://127.0.0.1:8080",
        "authorization_servers": ["http://127.0.0.1:8081"],
        "bearer_methods_supported": ["header", "query"],
        "revocation_bound_ms": 1020,
    }


async def test_forged_revocation_over_redis_is_ignored(polls: Polls, authority: Authority, redis_url: str) -> None:
    (kid, *_) = [key["kid"] for key in (await authority("GET", "/.well-known/jwks.json")).json["keys"]]
    change = {"seq": 1, "kind": "revoked", "token_id": "x", "digest": digest(polls.token).hex()}
    claims = {
        "iss": "http://127.0.0.1:8081",
        "aud": SET_AUDIENCE,
        "iat": 1_800_000_000,
        "jti": "1",
        "toe_ms": 0,
        "events": {CHANGES_EVENT: {"changes": [change]}},
    }
    attacker_key = Ed25519PrivateKey.generate()
    await polls.call("GET")
    refused = await _metric(polls, "pollgate_guard_pushes_refused_total")
    hits = await _metric(polls, 'pollgate_guard_cache_total{result="hit"}')

    async with Redis.from_url(redis_url) as redis:
        for forged in (
            msgspec.json.encode(change),
            jwt.encode(claims, attacker_key, algorithm="EdDSA", headers={"kid": kid, "typ": SET_TYPE}),
            jwt.encode(claims, attacker_key, algorithm="EdDSA", headers={"kid": "attacker_key", "typ": SET_TYPE}),
            base64.b64encode(b"[" * 100_000),
        ):
            await redis.publish(CHANGES_CHANNEL, forged)
    # Pushes arrive in order: when this one is accepted, the forged ones have been read.
    accepted = await _metric(polls, ACCEPTED)
    await authority.revoke((await authority.issue())["id"])
    async with asyncio.timeout(5):
        while await _metric(polls, ACCEPTED) == accepted:
            await asyncio.sleep(0.02)

    assert await _metric(polls, "pollgate_guard_pushes_refused_total") >= refused + 4
    assert (await polls.call("GET")).status == 200
    assert await _metric(polls, 'pollgate_guard_cache_total{result="hit"}') == hits + 1


async def test_pushes_are_accepted_before_during_and_after_key_rotation(
    polls: Polls, authority: Authority, database: ClonedDatabase, redis_url: str
) -> None:
    async with Redis.from_url(redis_url) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe(CHANGES_CHANNEL)

        async def push() -> str:
            """Revoke a token, wait until polls has accepted the push, and return the id of the key that signed it."""
            accepted = await _metric(polls, ACCEPTED)
            issued = await authority.issue()
            await authority.revoke(issued["id"])
            async with asyncio.timeout(5):
                message = None
                while message is None or digest(issued["token"]).hex() not in str(read_changes(message["data"])):
                    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)
                while await _metric(polls, ACCEPTED) == accepted:
                    await asyncio.sleep(0.02)
            return str(jwt.get_unverified_header(message["data"])["kid"])

        old = await push()
        new = (await authority.manage("POST", "/v1/keys/rotate")).json["kid"]
        assert await push() == old
        # After a push of another test's authority, the guard does not ask for keys again for this long.
        await asyncio.sleep(UNKNOWN_KEY_RETRY_S)
        await fetch(database.admin_url, "UPDATE token_authority.signing_key SET signs_from = now() WHERE kid = $1", new)
        async with asyncio.timeout(10):
            while (signed_by := await push()) != new:
                assert signed_by == old
        assert await push() == new


async def test_use_is_counted_for_allowed_request_and_not_for_403(
    polls: Polls, authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue("polls:read:PLAT")
    holder = polls.with_token(issued["token"])
    for _ in range(3):
        assert (await holder.call("GET")).status == 200
    uses, last_used_at = await _wait_for_uses(database, issued["id"], at_least=3)

    assert (await holder.at_place(workspace="OTHER", content="1").call("GET")).status == 403
    assert (await holder.call("POST", {"title": "x", "options": []})).status == 403
    assert (await polls.call("GET")).status == 200
    await _wait_for_uses(database, (await _other_token_id(authority, "a token", besides=issued["id"])), at_least=1)
    await authority.revoke(issued["id"])
    assert (await holder.call("GET")).status == 403
    await asyncio.sleep(LEASE_S)

    assert await _wait_for_uses(database, issued["id"], at_least=3) == (uses, last_used_at) == (3, last_used_at)


async def test_revocation_is_effective_in_every_replica(
    polls: Polls, authority: Authority, database: ClonedDatabase, redis_url: str
) -> None:
    async with run_polls_service(database, redis_url, authority.base) as other:
        other.endpoint, other.token = polls.endpoint, polls.token
        assert {(await caller.call("GET")).status for caller in (polls, other)} == {200}
        async with asyncio.timeout(5):
            while (await other("GET", "/readyz")).json["checks"]["lease"] != "ok":
                await asyncio.sleep(0.02)

        for _ in range(10):
            issued = await authority.issue()
            replicas = [polls.with_token(issued["token"]), other.with_token(issued["token"])]
            assert {(await replica.call("GET")).status for replica in replicas} == {200}

            answer = await authority.revoke(issued["id"])

            assert {(await replica.call("GET")).status for replica in replicas} == {403}
            assert answer["guards"] == {"confirmed": 2, "expired": 0}


async def _metric(polls: Polls, name: str) -> float:
    lines = (await polls("GET", "/metrics")).body.decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + " ")), 0.0)


async def _wait_for_uses(database: ClonedDatabase, token_id: str, at_least: int) -> tuple[int, Any]:
    query = "SELECT uses, last_used_at FROM token_authority.token_use WHERE token_id = $1 AND uses >= $2"
    async with asyncio.timeout(5):
        while not (rows := await fetch(database.admin_url, query, token_id, at_least)):
            await asyncio.sleep(0.02)
    return rows[0]["uses"], rows[0]["last_used_at"]


async def _other_token_id(authority: Authority, name: str, besides: str) -> str:
    tokens = (await authority.manage("GET", "/v1/tokens")).json["items"]
    return str(next(token["id"] for token in tokens if token["name"] == name and token["id"] != besides))
