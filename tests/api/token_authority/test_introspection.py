"""Introspection (RFC 7662) by a service."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.contract.token import mint
from tests.support.stack import CLIENT_SECRET, Authority, basic_auth

pytestmark = pytest.mark.shared_services

FORM = "application/x-www-form-urlencoded"


async def test_introspect_active_token_returns_its_grant(authority: Authority) -> None:
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    before = int(datetime.now(UTC).timestamp())
    issued = await authority.issue("polls:read:PLAT", "polls:*:A%2FB", expires_at=expires_at.isoformat())

    answer = await authority.introspect(issued["token"])

    body = answer.json
    secret_id = (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json["secrets"][0]["id"]
    assert before <= body.pop("iat") <= datetime.now(UTC).timestamp()
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert body == {
        "active": True,
        "scope": "polls:read:PLAT polls:*:A%2FB",
        "client_id": issued["id"],
        "sub": issued["id"],
        "token_type": "Bearer",
        "exp": int(expires_at.timestamp()),
        "iss": "http://127.0.0.1:8081",
        "aud": "polls",
        "jti": secret_id,
        "site": issued["site"],
        "endpoint_id": await authority.get_endpoint(),
        "as_of": 0,
        "authorization_details": [
            {"type": "polls", "actions": ["read"], "workspace": "PLAT"},
            {
                "type": "polls",
                "actions": ["read", "create", "update", "delete", "vote", "results"],
                "workspace": "A/B",
            },
        ],
    }


async def test_introspect_token_without_expiry_returns_no_exp(authority: Authority) -> None:
    assert "exp" not in (await authority.introspect((await authority.issue())["token"])).json


async def test_introspect_inactive_token_returns_active_false_only(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for token in [mint("pgt"), mint("pga"), "x", "\0", "pgt_" + "A" * 38, "é" * 100, "%70"]:
        with subtests.test(token=token[:4]):
            answer = await authority.introspect(token)

            assert (answer.status, answer.json) == (200, {"active": False})


async def test_revoked_token_is_inactive_after_response(authority: Authority) -> None:
    issued = await authority.issue()

    await authority.revoke(issued["id"])

    assert (await authority.introspect(issued["token"])).json == {"active": False}


NO_CREDENTIALS = [
    {},
    {"Authorization": "Basic"},
    {"Authorization": "Basic ====="},
    {"Authorization": "Basic /w=="},
    {"Authorization": f"Bearer {CLIENT_SECRET}"},
    basic_auth("polls", ""),
    basic_auth("polls", mint("pgs")),
    basic_auth("other", CLIENT_SECRET),
    basic_auth("\0", CLIENT_SECRET),
]


async def test_introspect_without_valid_credential_returns_401(authority: Authority, subtests: pytest.Subtests) -> None:
    for headers in NO_CREDENTIALS:
        with subtests.test(headers=headers):
            answer = await authority("POST", "/oauth2/introspect", headers=headers, data={"token": mint("pgt")})

            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic")


async def test_introspect_with_admin_key_returns_401(authority: Authority) -> None:
    answer = await authority("POST", "/oauth2/introspect", headers=authority.admin, data={"token": "x"})

    assert answer.status == 401


async def test_introspect_form_without_one_token_returns_400(authority: Authority, subtests: pytest.Subtests) -> None:
    for body in [b"", b"token=", b"token=a&token=b", b"token=%FF", b"\xff", b"&".join([b"a=1"] * 99)]:
        with subtests.test(body=body[:40]):
            headers = {**basic_auth("polls", CLIENT_SECRET), "Content-Type": FORM}

            assert (await authority("POST", "/oauth2/introspect", headers=headers, data=body)).status == 400


async def test_introspect_json_returns_415_and_get_returns_405(authority: Authority) -> None:
    headers = {**basic_auth("polls", CLIENT_SECRET), "Content-Type": "application/json"}

    assert (await authority("POST", "/oauth2/introspect", headers=headers, data=b"{}")).status == 415
    assert (await authority("GET", "/oauth2/introspect?token=x", headers=headers)).status == 405
