"""Client assertions (`private_key_jwt`, RFC 7523): valid ones authenticate a service once, others are refused."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.token_authority.domain.client_assertion import ASSERTION_TYPE
from services.token_authority.tasks.retention import Retention
from shared.contract.token import mint
from shared.runtime.postgres.database import database as opened
from tests.support.client_keys import (
    INTROSPECT,
    ISSUER,
    KEY_KINDS,
    ClientKey,
    Kind,
    assertion_form,
    create_service_with_key,
)
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import CLIENT_SECRET, Answer, Authority, basic_auth, run_token_authority

pytestmark = pytest.mark.shared_services

KEY = ClientKey()


@pytest.fixture
async def service(authority: Authority) -> Authority:
    """Return an authority with the service `reports`, which has `KEY` and no secret."""
    await create_service_with_key(authority, KEY)
    return authority


async def introspect(authority: Authority, assertion: str, token: str = "x") -> Answer:
    return await authority("POST", "/oauth2/introspect", data=assertion_form(assertion, token))


@pytest.mark.parametrize("kind", KEY_KINDS)
async def test_introspect_with_assertion_of_any_key_kind_returns_200(authority: Authority, kind: Kind) -> None:
    key, token = ClientKey(kind), (await authority.issue())["token"]
    await create_service_with_key(authority, key)

    answer = await introspect(authority, key.sign(), token)

    assert (answer.status, answer.json["active"]) == (200, True)


async def test_introspect_with_rsa_key_and_ps256_returns_200(authority: Authority) -> None:
    key = ClientKey("RSA")
    await create_service_with_key(authority, key)

    assert (await introspect(authority, key.sign(algorithm="PS256"))).status == 200
    assert (await introspect(authority, key.sign(algorithm="RS512"))).status == 401


async def test_assertion_as_bearer_token_on_json_route_returns_200(service: Authority) -> None:
    def bearer() -> dict[str, str]:
        return {"Authorization": f"Bearer {KEY.sign()}"}

    batch = await service("POST", "/oauth2/introspect/batch", headers=bearer(), json={"tokens": ["x"]})
    sync = {"applied": None, "usage": list[str]()}
    synced = await service("POST", f"/v1/guards/{'g' * 16}/sync", headers=bearer(), json=sync)
    released = await service("DELETE", f"/v1/guards/{'g' * 16}", headers=bearer())

    assert (batch.status, synced.status, released.status) == (200, 200, 204)


async def test_assertion_for_issuer_or_endpoint_audience_is_accepted(
    service: Authority, subtests: pytest.Subtests
) -> None:
    for aud in [ISSUER, INTROSPECT, [ISSUER], ["http://elsewhere", INTROSPECT]]:
        with subtests.test(aud=aud):
            assert (await introspect(service, KEY.sign(aud=aud))).status == 200


SOON = int(time.time()) + 3600
WRONG: list[tuple[dict[str, Any], str]] = [
    *(({name: None}, "it must have") for name in ("iss", "sub", "aud", "exp", "iat", "jti")),
    ({"iss": "polls"}, "'iss' and 'sub'"),
    ({"iss": "polls", "sub": "polls"}, "Client assertion refused"),
    ({"iss": "unknown", "sub": "unknown"}, "Client assertion refused"),
    ({"iss": "\0", "sub": "\0"}, "'iss' and 'sub'"),
    ({"aud": "http://elsewhere"}, "'aud' must be"),
    ({"aud": []}, "'aud' must be"),
    ({"aud": f"{ISSUER}/oauth2/introspect/batch"}, "'aud' must be"),
    ({"exp": SOON}, "at most 300 seconds in the future"),
    ({"exp": 1}, "it has expired"),
    ({"exp": 1e300}, "at most 300 seconds in the future"),
    ({"exp": "soon"}, "it must have"),
    ({"iat": SOON}, "in the future"),
    ({"nbf": SOON}, "in the future"),
    ({"jti": ""}, "'jti' must have"),
    ({"jti": "x" * 257}, "'jti' must have"),
    ({"headers": {"crit": ["exp"]}}, "its header"),
    ({"headers": {"typ": "secevent+jwt"}}, "its header"),
    ({"padding": "x" * 5000}, "a signed JWT"),
]


async def test_invalid_assertion_returns_401_with_reason(service: Authority, subtests: pytest.Subtests) -> None:
    for change, detail in WRONG:
        with subtests.test(str(change)[:80]):
            answer = await introspect(service, KEY.sign(**change))

            assert (answer.status, answer.json["error"]) == (401, "invalid_client")
            assert detail in answer.json["detail"]
            assert "Basic" in answer.headers["WWW-Authenticate"]


def _unsigned(algorithm: str, signature: str = "") -> str:
    header, claims, _ = KEY.sign().split(".")
    header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).decode().rstrip("=")
    return f"{header}.{claims}.{signature}"


def _signed_with_the_public_key() -> str:
    """Sign with the public key as HMAC secret: accepted by a verifier that trusts the `alg` of the header."""

    unsigned = _unsigned("HS256").rstrip(".")
    mac = hmac.new(KEY.public_pem.strip().encode(), unsigned.encode(), hashlib.sha256).digest()
    return f"{unsigned}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def forged_assertions() -> dict[str, str]:
    """Return assertions that are not signed by the service."""
    return {
        "of another key": ClientKey().sign(),
        "of a key of another kind": ClientKey("P-256").sign(),
        "of an RSA key": ClientKey("RSA").sign(),
        "unsigned": _unsigned("none", "AA"),
        "without a signature": _unsigned("none"),
        "by HS256": _signed_with_the_public_key(),
        "with a signature that is none": _unsigned("EdDSA", "AAAA"),
        "another algorithm in the header": _unsigned("RS256", KEY.sign().split(".")[2]),
        "no JWT": "x.y.z",
        "nothing": "",
        "a secret": mint("pgs"),
        "too deep": f"{base64.urlsafe_b64encode(b'[' * 2000).decode()}.e30.AA",
    }


async def test_assertion_signed_by_other_key_returns_401(service: Authority, subtests: pytest.Subtests) -> None:
    for case, assertion in forged_assertions().items():
        with subtests.test(case):
            by_form = await introspect(service, assertion)
            headers = {"Authorization": f"Bearer {assertion}"}
            by_header = await service("POST", "/oauth2/introspect", headers=headers, data={"token": "x"})

            assert (by_form.status, by_header.status) == (401, 401)


async def test_reused_assertion_returns_401(service: Authority) -> None:
    assertion = KEY.sign()
    jti = jwt.decode(assertion, options={"verify_signature": False})["jti"]

    statuses = [(await introspect(service, each)).status for each in (assertion, assertion, KEY.sign(jti=jti))]

    assert statuses == [200, 401, 401]


@pytest.mark.own_services
async def test_assertion_reused_at_other_process_returns_401(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with (
        run_token_authority(database, redis_url, tmp_path) as one,
        run_token_authority(database, redis_url, tmp_path) as two,
    ):
        await create_service_with_key(one, KEY)
        assertion = KEY.sign()

        answers = await asyncio.gather(*(introspect(each, assertion) for each in (one, two) * 4))

        assert sorted(answer.status for answer in answers) == [200] + [401] * 7


async def test_two_services_may_use_same_jti(service: Authority) -> None:
    other = ClientKey()
    await create_service_with_key(service, other, "other")

    assert (await introspect(service, KEY.sign(jti="1"))).status == 200
    assert (await introspect(service, other.sign(jti="1", iss="other", sub="other"))).status == 200


async def test_expired_assertions_are_deleted(service: Authority, database: ClonedDatabase) -> None:
    assert (await introspect(service, KEY.sign())).status == 200
    query = "SELECT jti_digest FROM token_authority.service_assertion"
    async with opened(database.token_authority_url, size=1, statement_cache=0) as pool:
        retention = Retention(pool)
        await retention.delete_old(datetime.now(UTC) + timedelta(seconds=120))
        assert len(await fetch(database.admin_url, query)) == 1

        await retention.delete_old(datetime.now(UTC) + timedelta(seconds=131))

    assert await fetch(database.admin_url, query) == []


async def test_service_role_cannot_change_used_assertions(service: Authority, database: ClonedDatabase) -> None:
    query = (
        "SELECT privilege_type FROM information_schema.role_table_grants "
        "WHERE table_name = 'service_assertion' AND grantee = 'token_authority'"
    )

    rows = await fetch(database.admin_url, query)

    assert {row["privilege_type"] for row in rows} == {"SELECT", "INSERT", "DELETE"}


AMBIGUOUS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "a header beside it": (basic_auth("polls", CLIENT_SECRET), assertion_form("x")),
    "a bearer beside it": ({"Authorization": "Bearer y"}, assertion_form("x")),
    "a secret in the form beside a header": (basic_auth("polls", CLIENT_SECRET), {"token": "x", "client_secret": "x"}),
    "a secret in the form beside it": ({}, {**assertion_form("x"), "client_secret": "x"}),
}


async def test_two_credentials_return_400(service: Authority, subtests: pytest.Subtests) -> None:
    for case, (headers, body) in AMBIGUOUS.items():
        with subtests.test(case):
            answer = await service("POST", "/oauth2/introspect", headers=headers, data=body)

            assert (answer.status, answer.json["error"]) == (400, "invalid_request")


async def test_unknown_authentication_method_returns_401(service: Authority, subtests: pytest.Subtests) -> None:
    others = {
        "no type": {"client_assertion": KEY.sign()},
        "another type": {"client_assertion": KEY.sign(), "client_assertion_type": "urn:x"},
        "a type alone": {"client_assertion_type": ASSERTION_TYPE},
        "a secret": {"client_id": "reports", "client_secret": mint("pgs")},
    }
    for case, body in others.items():
        with subtests.test(case):
            answer = await service("POST", "/oauth2/introspect", data={"token": "x", **body})

            assert (answer.status, answer.json["error"]) == (401, "invalid_client")


async def test_two_authorization_headers_return_400(service: Authority) -> None:
    headers = [("Authorization", basic_auth("polls", CLIENT_SECRET)["Authorization"])] * 2

    answer = await service("POST", "/oauth2/introspect", headers=headers, data={"token": "x"})

    assert answer.status == 400


async def test_client_id_that_differs_from_assertion_returns_401(service: Authority) -> None:
    async def ask(client_id: str) -> int:
        body = {**assertion_form(KEY.sign()), "client_id": client_id}
        return (await service("POST", "/oauth2/introspect", data=body)).status

    assert [await ask("reports"), await ask("polls")] == [200, 401]


async def test_service_with_key_only_and_basic_returns_401(service: Authority) -> None:
    assert (await service.introspect("x", "reports", mint("pgs"))).status == 401
    assert (await service.introspect("x", "reports", "")).status == 401


async def test_disabled_service_returns_same_401_as_unknown_service(service: Authority) -> None:
    await service.manage("POST", "/v1/services/reports/disable")

    disabled = await introspect(service, KEY.sign())
    unknown = await introspect(service, KEY.sign(iss="unknown", sub="unknown"))
    await service.manage("POST", "/v1/services/reports/enable")

    assert (disabled.status, disabled.json["detail"]) == (401, unknown.json["detail"])
    assert (await introspect(service, KEY.sign())).status == 200


async def test_changed_public_key_replaces_old_one_immediately(service: Authority) -> None:
    other = ClientKey("P-256")

    changed = await service.manage("PATCH", "/v1/services/reports", {"public_key": other.public_pem})

    assert changed.json["public_key"] == other.public_pem.strip()
    assert (await introspect(service, KEY.sign())).status == 401
    assert (await introspect(service, other.sign())).status == 200


async def test_private_key_as_public_key_returns_422_without_the_key(
    authority: Authority, database: ClonedDatabase
) -> None:
    pem = KEY.private_pem

    answer = await authority.manage("POST", "/v1/services", {"client_id": "reports", "public_key": pem})

    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/public_key")
    assert "this is a private key" in answer.json["detail"]
    assert pem.splitlines()[1] not in answer.body.decode()


def _pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def unsupported_keys() -> dict[str, str]:
    """Return texts that are not supported public keys."""
    return {
        "no PEM": "x",
        "an empty PEM": "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
        "P-384": _pem(ec.generate_private_key(ec.SECP384R1())),
        "secp256k1": _pem(ec.generate_private_key(ec.SECP256K1())),
        "a short RSA key": _pem(rsa.generate_private_key(65537, 1024)),  # noqa: S505
        "an odd exponent": _pem(rsa.generate_private_key(3, 2048)),
        "a long text": KEY.public_pem + " " * 5000,
        "not ASCII": KEY.public_pem.replace("-----END", "é-----END"),
    }


async def test_unsupported_public_key_returns_422_with_supported_kinds(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for case, pem in unsupported_keys().items():
        with subtests.test(case):
            answer = await authority.manage("POST", "/v1/services", {"client_id": "reports", "public_key": pem})

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/public_key")
            assert "Ed25519, P-256, or RSA" in answer.json["detail"]
