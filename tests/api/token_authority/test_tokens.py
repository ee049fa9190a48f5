"""Issue, list, show and revoke tokens as an administrator."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from shared.contract.token import digest, is_well_formed, mint
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Authority, basic_auth

pytestmark = pytest.mark.shared_services


async def test_create_token_returns_201_with_secret_once(authority: Authority) -> None:
    answer = await authority.manage("POST", "/v1/tokens", {"name": "Automation", "scopes": ["polls:*:PLAT"]})

    issued = answer.json
    secret = issued.pop("token")
    assert answer.status == 201
    assert is_well_formed(secret, "pgt")
    assert issued["hint"] == f"pgt_…{secret[-4:]}"
    assert answer.headers["Location"] == f"/v1/tokens/{issued['id']}"
    shown = (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json
    assert issued.items() <= shown.items()
    assert secret not in str(shown)
    assert (await authority.manage("GET", "/v1/tokens")).json == {"items": [issued], "next": None}


async def test_only_digest_of_secret_is_stored(authority: Authority, database: ClonedDatabase) -> None:
    issued = await authority.issue()

    query = "SELECT digest, s::text AS whole FROM token_authority.secret s WHERE holder_id = $1"
    (row,) = await fetch(database.admin_url, query, issued["id"])
    assert row["digest"] == digest(issued["token"])
    assert issued["token"][4:-4] not in row["whole"]


async def test_token_belongs_to_default_site_unless_named(authority: Authority) -> None:
    site = (await authority.manage("GET", "/v1/sites")).json["items"][0]

    assert len(site["endpoint_id"]) == 27
    assert (await authority.issue())["site"] == site["id"]
    assert (await authority.issue(site=site["id"]))["site"] == site["id"]


async def test_create_token_with_name_of_1_to_255_characters_returns_201(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for name in ["x", "x" * 255, "Poll Management Token for Automation ⭐", "名" * 255]:
        with subtests.test(name=name):
            assert (await authority.issue(name=name))["name"] == name


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "/name"),
    ({"name": "x" * 256}, "/name"),
    ({"name": "  "}, "/name"),
    ({"name": "a\0b"}, "/name"),
    ({"name": "a\nb"}, "/name"),
    ({"name": None}, "/name"),
    ({"scopes": []}, "/scopes"),
    ({"scopes": ["polls:read:*"] * 101}, "/scopes"),
    ({"scopes": "polls:read:*"}, "/scopes"),
    ({"scopes": ["polls:read:*", "polls:write:*"]}, "/scopes/1"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
    ({"expires_at": "2030-01-01T00:00:00"}, "/expires_at"),
    ({"expires_at": "9999-12-31T23:59:59-23:59"}, "/expires_at"),
    ({"expires_at": "soon"}, "/expires_at"),
    ({"site": "site_unknown"}, "/site"),
    ({"site": "\0"}, "/site"),
    ({"colour": "red"}, "/colour"),
]


async def test_create_token_with_invalid_field_returns_422_with_pointer(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for change, pointer in INVALID:
        with subtests.test(change=change, pointer=pointer):
            answer = await authority.manage("POST", "/v1/tokens", {"name": "x", "scopes": ["polls:*:*"], **change})

            assert answer.status == 422
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json["errors"][0]["pointer"] == pointer
            assert (await authority.manage("GET", "/v1/tokens")).json["items"] == []


async def test_invalid_scope_returns_422_that_names_the_character(authority: Authority) -> None:
    answer = await authority.manage("POST", "/v1/tokens", {"name": "x", "scopes": ["polls:read,wriet:*"]})

    assert answer.status == 422
    assert "at character 12" in answer.json["detail"]


MALFORMED_BODIES = [
    (b"", 400),
    (b"{", 400),
    (b'{"name": "\xff"}', 400),
    (b'{"name": "\\ud800", "scopes": []}', 400),
    (b'{"a":' * 10_000, 400),
    (b"x" * 70_000, 413),
    (b"[]", 422),
]


async def test_malformed_body_returns_400_413_or_422(authority: Authority, subtests: pytest.Subtests) -> None:
    for body, status in MALFORMED_BODIES:
        with subtests.test(body=body[:40]):
            headers = {**authority.admin, "Content-Type": "application/json"}

            assert (await authority("POST", "/v1/tokens", headers=headers, data=body)).status == status


async def test_expiry_is_whole_second_for_authority_and_guards(authority: Authority) -> None:
    issued = await authority.issue(expires_at="2035-01-01T00:00:00.9Z")

    assert issued["expires_at"] == "2035-01-01T00:00:00Z"
    assert (await authority.introspect(issued["token"])).json["exp"] == 2_051_222_400


async def test_form_with_media_type_parameters_returns_200_and_text_415(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for parameters in ["; charset=utf-8", f"; a*{'9' * 5000}=x", "; ;;=", ";\xff"]:
        with subtests.test(parameters=parameters[:40]):
            form = {"Content-Type": f"Application/x-www-form-urlencoded {parameters}"}
            other = {"Content-Type": f"text/plain{parameters}"}

            assert (await authority("POST", "/oauth2/revoke", headers=form, data="token=x")).status == 200
            assert (await authority("POST", "/oauth2/revoke", headers=other, data="token=x")).status == 415


async def test_unsupported_media_type_returns_415(authority: Authority) -> None:
    headers = {**authority.admin, "Content-Type": "text/plain"}

    assert (await authority("POST", "/v1/tokens", headers=headers, data=b"{}")).status == 415


async def test_list_tokens_returns_pages_by_name(authority: Authority) -> None:
    for name in ("c", "a", "b", "a"):
        await authority.issue(name=name)

    first = (await authority.manage("GET", "/v1/tokens?limit=3")).json
    second = (await authority.manage("GET", f"/v1/tokens?limit=3&cursor={first['next']}")).json

    assert [token["name"] for token in first["items"] + second["items"]] == ["a", "a", "b", "c"]
    assert second["next"] is None


async def test_invalid_page_parameter_returns_400(authority: Authority, subtests: pytest.Subtests) -> None:
    for query in ["limit=0", "limit=x", "limit=1001", "limit=1&limit=2", "cursor=%", "cursor=AAAA"]:
        with subtests.test(query=query):
            assert (await authority.manage("GET", f"/v1/tokens?{query}")).status == 400


async def test_unknown_token_returns_404(authority: Authority, subtests: pytest.Subtests) -> None:
    for token_id, (method, suffix) in product(
        ["tok_unknown", "%00", "%FF", "..%2F", "x" * 3000], [("GET", ""), ("POST", "/revoke")]
    ):
        with subtests.test(token_id=token_id, method=method, suffix=suffix):
            body = {"reason": "unneeded"} if method == "POST" else None

            answer = await authority.manage(method, f"/v1/tokens/{token_id}{suffix}", body)

            assert answer.status == 404
            assert answer.headers["Content-Type"] == "application/problem+json"


async def test_revoked_token_stays_listed_with_time(authority: Authority) -> None:
    issued = await authority.issue()

    revocation = await authority.revoke(issued["id"])

    shown = (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json
    assert (shown["status"], shown["revoked_at"]) == ("revoked", revocation["revoked_at"])


async def test_expired_token_has_status_expired(authority: Authority) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    issued = await authority.issue(expires_at=soon.isoformat())
    await asyncio.sleep(2.1)

    assert (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json["status"] == "expired"
    assert (await authority.introspect(issued["token"])).json == {"active": False}


NO_ADMIN_KEY = [
    {},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer x"},
    {"Authorization": f"Bearer {mint('pga')}"},
    {"Authorization": f"Bearer {mint('pgt')}"},
    {"Authorization": "Basic Og=="},
    basic_auth("polls", mint("pgs")),
]
MANAGEMENT = [
    ("GET", "/v1/sites"),
    ("POST", "/v1/tokens"),
    ("GET", "/v1/tokens"),
    ("GET", "/v1/tokens/tok_1"),
    ("POST", "/v1/tokens/tok_1/revoke"),
    ("PATCH", "/v1/tokens/tok_1"),
    ("POST", "/v1/tokens/tok_1/rotate"),
    ("POST", "/v1/tokens/tok_1/disable"),
    ("POST", "/v1/tokens/tok_1/enable"),
    ("POST", "/v1/tokens/revoke"),
    ("GET", "/v1/admin-keys"),
    ("POST", "/v1/admin-keys"),
    ("GET", "/v1/services"),
    ("POST", "/v1/services"),
    ("GET", "/v1/audit"),
    ("GET", "/v1/audit/export"),
]


async def test_requests_without_admin_key_return_401(authority: Authority, subtests: pytest.Subtests) -> None:
    for headers, (method, path) in product(NO_ADMIN_KEY, MANAGEMENT):
        with subtests.test(f"{method} {path}", headers=headers):
            answer = await authority(method, path, headers=headers, data=b"{}" if method == "POST" else None)

            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
