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
    assert (await authority.manage("GET", "/v1/tokens")).json == {"items": [issued], "next": None, "limits": None}


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
    ({"expires_at": "2030-02-30"}, "/expires_at"),
    ({"expires_at": 1893456000}, "/expires_at"),
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


EXPIRIES = {
    "2031-01-31": "2031-01-31T23:59:59Z",
    "2031-01-31+09:00": "2031-01-31T14:59:59Z",
    "2031-01-31T18:00": "2031-01-31T18:00:00Z",
    "2031-01-31T18:00:00.5+0900": "2031-01-31T09:00:00Z",
    "2031-01-31t18:00:00z": "2031-01-31T18:00:00Z",
}


async def test_expiry_is_read_as_written_and_day_is_its_last_moment(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for sent, understood in EXPIRIES.items():
        with subtests.test(sent=sent):
            issued = await authority.issue(expires_at=sent)
            other = await authority.issue()
            changed = await authority.manage("PATCH", f"/v1/tokens/{other['id']}", {"expires_at": sent})

            assert (issued["expires_at"], changed.json["expires_at"]) == (understood, understood)


async def test_day_means_its_start_in_conditions_and_its_end_in_until(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    token = await authority.issue(expires_at="2031-01-31T00:00:00Z")
    today = datetime.fromisoformat(token["created_at"]).date()
    tomorrow = today + timedelta(days=1)
    ids = [token["id"]]
    conditions = {
        f"created_after={today}": ids,
        f"created_before={today}": [],
        f"created_before={tomorrow}": ids,
        f"created_before={tomorrow}%2B00:00": ids,
        f"unused_since={today}": ids,
        f"used_after={today}": [],
        "expires_after=2031-01-31": ids,
        "expires_after=2031-01-31-09:00": [],
        "expires_before=2031-01-31": [],
        "expires_before=2031-01-31T00:00:00.0-0001": ids,
    }
    for condition, found in conditions.items():
        with subtests.test(condition):
            listed = (await authority.manage("GET", f"/v1/tokens?{condition}")).json["items"]

            assert [each["id"] for each in listed] == found
    for condition, some in {
        f"since={today}&until={today}": True,
        f"since={tomorrow}": False,
        f"until={today}": True,
    }.items():
        with subtests.test(condition):
            records = (await authority.manage("GET", f"/v1/audit?action=token.issue&{condition}")).json["items"]
            exported = await authority(
                "GET", f"/v1/audit/export?action=token.issue&{condition}", headers=authority.admin
            )

            assert (bool(records), bool(exported.body)) == (some, some)


async def test_condition_that_is_no_time_returns_400_that_names_it(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    routes = {
        "/v1/tokens": (
            "created_after",
            "created_before",
            "used_after",
            "unused_since",
            "expires_after",
            "expires_before",
        ),
        "/v1/audit": ("since", "until"),
        "/v1/audit/export": ("since", "until"),
    }
    for path, names in routes.items():
        for name in names:
            with subtests.test(path=path, name=name):
                answer = await authority.manage("GET", f"{path}?{name}=2027-01-31T00:00:00+09:00")

                assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, name)
                assert "%2B" in answer.json["errors"][0]["detail"]


async def test_bulk_revocation_takes_day_as_its_first_moment(authority: Authority) -> None:
    token = await authority.issue()
    today = datetime.fromisoformat(token["created_at"]).date()

    async def preview(**conditions: str) -> Any:
        body = {"reason": "policy", "dry_run": True, **conditions}
        return (await authority.manage("POST", "/v1/tokens/revoke", body)).json

    assert (await preview(issued_before=str(today)))["revoked"] == 0
    assert (await preview(issued_before=str(today + timedelta(days=1))))["revoked"] == 1
    assert (await preview(unused_since=f"{today}T00:00"))["revoked"] == 1
    refused = await preview(issued_before="yesterday")
    assert (refused["status"], refused["errors"][0]["pointer"]) == (422, "/issued_before")


STORED = {
    "Ada\u3000愛": "Ada\u3000愛",
    "No\u00a0break": "No\u00a0break",
    "👩\u200d💻 ❤\ufe0f": "👩\u200d💻 ❤\ufe0f",
    "می\u200cخواهم": "می\u200cخواهم",
    "  trimmed\u3000": "trimmed",
    "Cafe\u0301": "Café",
    "ends with a line break\r\n": "ends with a line break",
}
REFUSED = {
    "a\u0007b": "U+0007",
    "a\nb": "U+000A",
    "a\tb": "U+0009",
    "\u202eevil": "U+202E",
    "\u2067open": "U+2067",
    "\u200b": "no visible character",
    "e" + "\u0301" * 31: "30 combining marks",
}


async def test_text_as_people_write_it_is_stored_in_nfc_and_trimmed(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for sent, stored in STORED.items():
        with subtests.test(sent=ascii(sent)):
            issued = await authority.issue(name=sent, description=sent, owner=sent)
            path = f"/v1/tokens/{issued['id']}"
            disabled = await authority.manage("POST", f"{path}/disable", {"reason": sent})
            changed = await authority.manage("PATCH", path, {"name": sent, "owner": sent})
            await authority.manage("POST", f"{path}/revoke", {"reason": "other", "text": sent})
            revoked = (await authority.manage("GET", path)).json
            key = await authority.manage("POST", "/v1/admin-keys", {"name": sent, "role": "auditor"})

            assert [issued[field] for field in ("name", "description", "owner")] == [stored] * 3
            assert (disabled.json["disabled_reason"], revoked["revoked_text"]) == (stored, stored)
            assert (changed.json["name"], changed.json["owner"], key.json["name"]) == (stored, stored, stored)


async def test_description_keeps_lines_and_tabs_with_line_feeds(authority: Authority) -> None:
    issued = await authority.issue(description="one\r\ntwo\rthree\tfour\r\n")

    assert issued["description"] == "one\ntwo\nthree\tfour"


async def test_text_with_refused_character_returns_422_that_names_it(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    token = await authority.issue()
    for text, named in REFUSED.items():
        requests: list[tuple[str, str, str, Any]] = [
            ("POST", "/v1/tokens", "/name", {"name": text, "scopes": ["polls:read:*"]}),
            ("PATCH", f"/v1/tokens/{token['id']}", "/owner", {"owner": text}),
            ("POST", f"/v1/tokens/{token['id']}/disable", "/reason", {"reason": text}),
            ("POST", f"/v1/tokens/{token['id']}/revoke", "/text", {"reason": "other", "text": text}),
            ("POST", "/v1/admin-keys", "/name", {"name": text, "role": "auditor"}),
            ("POST", "/v1/services", "/name", {"client_id": "sheep", "name": text}),
        ]
        if text not in ("a\nb", "a\tb"):
            requests.append(("PATCH", f"/v1/tokens/{token['id']}", "/description", {"description": text}))
        for method, path, pointer, body in requests:
            with subtests.test(text=ascii(text), path=path):
                answer = await authority.manage(method, path, body)

                assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)
                assert named in answer.json["errors"][0]["detail"]


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


async def test_all_actions_spelt_out_never_become_wildcard(authority: Authority) -> None:
    written = "polls:results,vote,delete,update,create,read:PLAT"
    canonical = "polls:read,create,update,delete,vote,results:PLAT"
    issuer = await authority.manage("POST", "/v1/admin-keys", {"name": "i", "role": "issuer", "scopes": [written]})
    headers = {"Authorization": f"Bearer {issuer.json['key']}"}

    issued = await authority.issue(written)
    statuses = [
        (await authority("POST", "/v1/tokens", headers=headers, json={"name": "t", "scopes": [scope]})).status
        for scope in (written, "polls:*:PLAT")
    ]
    widened = await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"scopes": ["polls:*:PLAT"]})

    assert (issued["scopes"], issuer.json["scopes"]) == ([canonical], [canonical])
    assert (await authority.introspect(issued["token"])).json["scope"] == canonical
    assert (statuses, widened.status) == ([201, 403], 422)
