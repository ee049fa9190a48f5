"""What the authority publishes of itself, for those who verify and those who ask."""

import asyncio
import itertools
from typing import Any

import jwt
import pytest
from redis.asyncio import Redis

from services.token_authority.operations.signing import Signer
from shared.contract.change import CHANGES_CHANNEL, CHANGES_EVENT, SET_AUDIENCE, SET_TYPE
from shared.guard.keys import KeyRing
from shared.runtime.clock import elapsed_s
from shared.runtime.postgres import database as opened
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Authority

CLAIMS = {
    "iss": "the authority",
    "aud": SET_AUDIENCE,
    "iat": 0,
    "jti": "1",
    "toe_ms": 0,
    "events": {CHANGES_EVENT: {"changes": []}},
}


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"revocation_lease": 2.0}


async def test_the_metadata_names_the_endpoints_and_the_bound_on_revocation(authority: Authority) -> None:
    answer = await authority("GET", "/.well-known/oauth-authorization-server")

    issuer = "http://127.0.0.1:8081"
    assert answer.json == {
        "issuer": issuer,
        "introspection_endpoint": f"{issuer}/oauth2/introspect",
        "revocation_endpoint": f"{issuer}/oauth2/revoke",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "revocation_bound_ms": 2040,
        "response_types_supported": [],
        "grant_types_supported": [],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
        "revocation_endpoint_auth_methods_supported": ["none"],
    }


async def test_a_push_is_a_security_event_token_signed_by_a_published_key(authority: Authority, redis_url: str) -> None:
    issued = await authority.issue()
    async with Redis.from_url(redis_url) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe(CHANGES_CHANNEL)
        await pubsub.get_message(timeout=5)
        await authority.revoke(issued["id"])
        message = None
        while message is None or issued["id"] not in str(_unverified(message["data"])):
            message = await pubsub.get_message(timeout=5)
            assert message is not None

    keys = jwt.PyJWKSet.from_dict((await authority("GET", "/.well-known/jwks.json")).json)
    header = jwt.get_unverified_header(message["data"])
    claims = jwt.decode(message["data"], keys[header["kid"]], algorithms=["EdDSA"], audience=SET_AUDIENCE)

    assert header["typ"] == "secevent+jwt"
    assert claims["iss"] == "http://127.0.0.1:8081"
    (change,) = claims["events"][CHANGES_EVENT]["changes"]
    assert (change["seq"], change["kind"], change["token_id"]) == (1, "revoked", issued["id"])
    assert issued["token"] not in str(claims)


async def test_keys_rotate_while_every_push_can_be_verified(authority: Authority, database: ClonedDatabase) -> None:
    async def fetch_keys() -> bytes:
        return (await authority("GET", "/.well-known/jwks.json")).body

    seconds = itertools.count()
    ring = KeyRing(fetch_keys, lambda: float(next(seconds)))
    seen: set[str] = set()
    async with opened(database.token_authority_url, size=2, statement_cache=0) as pool:
        signer = Signer(pool, clock=elapsed_s, renew_every_s=0.02, rotate_every_s=0.05, rest_s=0.05)
        await signer.prepare()
        rotating = asyncio.create_task(signer.run())
        while len(seen) < 4:
            push = signer.sign(CLAIMS, SET_TYPE)
            assert (await ring.read(push.encode())).iss == CLAIMS["iss"]
            seen.add(jwt.get_unverified_header(push)["kid"])
        rotating.cancel()


async def test_a_key_is_published_as_long_as_its_process_runs_and_a_while_longer(
    authority: Authority, database: ClonedDatabase
) -> None:
    async def published() -> set[str]:
        return {key["kid"] for key in (await authority("GET", "/.well-known/jwks.json")).json["keys"]}

    (first,) = await published()
    async with opened(database.token_authority_url, size=2, statement_cache=0) as pool:
        ended = [Signer(pool, clock=elapsed_s) for _ in range(150)]
        for signer in ended:
            await signer.prepare()
        running = Signer(pool, clock=elapsed_s, renew_every_s=0.02)
        await running.prepare()
        assert len(await published()) == 1 + 150 + 1

        await fetch(database.admin_url, "UPDATE token_authority.signing_key SET renewed_at = now() - interval '2 h'")
        task = asyncio.create_task(running.run())
        async with asyncio.timeout(5):
            while len(left := await published()) > 1:
                await asyncio.sleep(0.01)
        assert left == {jwt.get_unverified_header(running.sign(CLAIMS, SET_TYPE))["kid"]}

        await fetch(database.admin_url, "DELETE FROM token_authority.signing_key")
        async with asyncio.timeout(5):
            while await published() != left:
                await asyncio.sleep(0.01)
        task.cancel()
    assert first not in left


async def test_what_is_counted_is_shown_without_secrets(authority: Authority) -> None:
    issued = await authority.issue()
    await authority.revoke(issued["id"])

    for accept in ("*/*", "application/openmetrics-text;version=1.0.0", "application/openmetrics-text;version=abc"):
        answer = await authority("GET", "/metrics", headers={"Accept": accept})

        assert answer.status == 200
        assert b"pollgate_revocation_wait_seconds_count 1.0" in answer.body
        assert b"pgt_" not in answer.body


def _unverified(push: bytes) -> Any:
    return jwt.decode(push, options={"verify_signature": False})
