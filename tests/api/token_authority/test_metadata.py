"""The authority's public metadata, signing keys and metrics."""

import asyncio
from typing import Any

import jwt
import pytest
from redis.asyncio import Redis

from shared.contract.change import CHANGES_EVENT, SET_AUDIENCE
from shared.contract.redis_names import CHANGES_CHANNEL
from shared.contract.token import digest
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.pushes import read_changes
from tests.support.stack import Authority


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"revocation_lease": 2.0}


async def test_metadata_names_endpoints_and_revocation_bound(authority: Authority) -> None:
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
        "introspection_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
        ],
        "introspection_endpoint_auth_signing_alg_values_supported": ["EdDSA", "ES256", "PS256", "RS256"],
        "introspection_signing_alg_values_supported": ["EdDSA"],
        "revocation_endpoint_auth_methods_supported": ["none"],
    }


async def test_change_is_published_once_and_then_marked(
    authority: Authority, database: ClonedDatabase, redis_url: str
) -> None:
    first, second = await authority.issue(), await authority.issue()
    unmarked = "SELECT seq FROM token_authority.change_log WHERE published_at IS NULL"
    async with Redis.from_url(redis_url) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe(CHANGES_CHANNEL)
        await pubsub.get_message(timeout=5)
        for issued in (first, second):
            await authority.revoke(issued["id"])
        async with asyncio.timeout(10):
            while await fetch(database.admin_url, unmarked):
                await asyncio.sleep(0.05)
        published = []
        while (message := await pubsub.get_message(timeout=0.2)) is not None:
            published += [each["digest"] for each in read_changes(message["data"])]

    digests = [digest(issued["token"]).hex() for issued in (first, second)]
    assert [each for each in published if each in digests] == digests


async def test_push_is_security_event_token_signed_by_published_key(authority: Authority, redis_url: str) -> None:
    issued = await authority.issue()
    async with Redis.from_url(redis_url) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe(CHANGES_CHANNEL)
        await pubsub.get_message(timeout=5)
        await authority.revoke(issued["id"])
        message = None
        while message is None or digest(issued["token"]).hex() not in str(read_changes(message["data"])):
            message = await pubsub.get_message(timeout=5)
            assert message is not None

    keys = jwt.PyJWKSet.from_dict((await authority("GET", "/.well-known/jwks.json")).json)
    header = jwt.get_unverified_header(message["data"])
    claims = jwt.decode(message["data"], keys[header["kid"]], algorithms=["EdDSA"], audience=SET_AUDIENCE)

    assert header["typ"] == "secevent+jwt"
    assert claims["iss"] == "http://127.0.0.1:8081"
    (change,) = claims["events"][CHANGES_EVENT]["changes"]
    receipt = change.pop("receipt")
    assert len(receipt) == 54
    assert change == {"seq": 1, "digest": digest(issued["token"]).hex(), "kind": "changed", "token_id": ""}
    assert issued["token"] not in str(claims)


async def test_metrics_contain_no_secret(authority: Authority) -> None:
    issued = await authority.issue()
    await authority.revoke(issued["id"])

    for accept in ("*/*", "application/openmetrics-text;version=1.0.0", "application/openmetrics-text;version=abc"):
        answer = await authority("GET", "/metrics", headers={"Accept": accept})

        assert answer.status == 200
        assert b"pollgate_revocation_wait_seconds_count 1.0" in answer.body
        assert b"pgt_" not in answer.body
