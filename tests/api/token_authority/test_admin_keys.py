"""Admin keys: roles, limits of issuers, and that one admin always remains."""

import asyncio
from typing import Any

import pytest

from shared.contract.token import is_well_formed
from tests.support.databases import ClonedDatabase
from tests.support.postgres import hold_rows
from tests.support.stack import Answer, Authority

pytestmark = pytest.mark.shared_services


class Manager:
    """An administrator with an admin key."""

    def __init__(self, authority: Authority, made: Any) -> None:
        self._authority = authority
        self.id = made["id"]
        self.key = made["key"]

    async def __call__(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.key}"}
        return await self._authority(method, f"/v1/{path}", headers=headers, json=body)


async def create_admin_key(authority: Authority, role: str, **fields: Any) -> Manager:
    answer = await authority.manage("POST", "/v1/admin-keys", {"name": f"the {role}", "role": role, **fields})
    assert answer.status == 201, answer.body
    return Manager(authority, answer.json)


async def test_create_admin_key_returns_201_with_secret_once(authority: Authority) -> None:
    answer = await authority.manage("POST", "/v1/admin-keys", {"name": "Ada", "role": "admin"})

    made = answer.json
    key = made.pop("key")
    listed = (await authority.manage("GET", "/v1/admin-keys")).json["items"]
    assert is_well_formed(key, "pga")
    assert made in listed
    assert made["hint"] == f"pga_…{key[-4:]}"
    assert [each["name"] for each in listed] == ["Ada", "First admin key"]


READS = ["tokens", "sites", "admin-keys/own"]
AUDITS = ["admin-keys", "services", "services/polls", "audit", "audit/export", "keys"]
NEW_TOKEN = ("POST", "tokens", {"name": "x", "scopes": ["polls:read:PLAT"]})
CHANGES: list[tuple[str, str, Any]] = [
    ("POST", "admin-keys", {"name": "x", "role": "admin"}),
    ("PATCH", "admin-keys/own", {"name": "x"}),
    ("POST", "services", {"client_id": "x"}),
    ("POST", "services/polls/disable", None),
    ("POST", "services/polls/rotate", {}),
    ("PATCH", "services/polls", {"name": "x"}),
    ("POST", "keys/rotate", None),
]


async def test_auditor_reads_everything_and_writes_get_403(authority: Authority) -> None:
    auditor, issued = await create_admin_key(authority, "auditor"), await authority.issue()

    seen = [(await auditor("GET", path)).status for path in [*READS, *AUDITS]]
    changed = [
        (await auditor(*change)).status
        for change in [
            NEW_TOKEN,
            *CHANGES,
            ("PATCH", f"tokens/{issued['id']}", {"name": "y"}),
            ("POST", f"tokens/{issued['id']}/revoke", {"reason": "unneeded"}),
            ("POST", f"tokens/{issued['id']}/rotate", {}),
            ("POST", f"tokens/{issued['id']}/keep", {"kind": "unused"}),
            ("POST", "tokens/review/complete", None),
            ("POST", "tokens/revoke", {"reason": "unneeded", "all": True}),
            ("DELETE", f"admin-keys/{auditor.id}", None),
        ]
    ]

    assert set(seen) == {200}
    assert set(changed) == {403}
    assert (await auditor("POST", "audit/verify")).status == 200


async def test_issuer_manages_tokens_and_gets_403_on_other_routes(authority: Authority) -> None:
    issuer = await create_admin_key(authority, "issuer", scopes=["polls:*:PLAT"])

    assert {(await issuer("GET", path)).status for path in READS} == {200}
    assert {(await issuer("GET", path)).status for path in AUDITS} == {403}
    assert {(await issuer(*change)).status for change in CHANGES} == {403}
    assert (await issuer("POST", "audit/verify")).status == 403
    assert (await issuer(*NEW_TOKEN)).status == 201


async def test_auditor_with_limits_reads_tokens_within_them_only(authority: Authority) -> None:
    auditor = await create_admin_key(authority, "auditor", scopes=["polls:read:PLAT"])
    await authority.issue("polls:read:OPS", name="hidden")

    assert (await auditor("GET", "tokens")).json["items"] == []
    assert {(await auditor("GET", path)).status for path in AUDITS} == {403}


async def test_missing_role_returns_403_that_names_required_role(authority: Authority) -> None:
    issuer = await create_admin_key(authority, "issuer", scopes=["polls:read,vote:PLAT"])

    role = await issuer("GET", "audit")
    scope = await issuer("POST", "tokens", {"name": "x", "scopes": ["polls:read:PLAT", "polls:read,create:PLAT/1"]})

    assert "admin or auditor; yours is issuer" in role.json["detail"]
    assert "The scope 'polls:create:PLAT/1' is beyond your limits" in scope.json["detail"]


GRANTS = [
    ("polls:read:PLAT", 201),
    ("polls:read,vote:PLAT/PLAT-1", 201),
    ("polls:read,vote:OPS/1/macro", 201),
    ("polls:vote:OPS", 403),
    ("polls:*:PLAT", 403),
    ("polls:read:*", 403),
    ("polls:read:PLATFORM", 403),
]


async def test_issue_token_beyond_own_scopes_returns_403(authority: Authority, subtests: pytest.Subtests) -> None:
    for scope, status in GRANTS:
        with subtests.test(scope=scope, status=status):
            issuer = await create_admin_key(
                authority, "issuer", scopes=["polls:read:PLAT", "polls:vote:PLAT", "polls:read,vote:OPS/1"]
            )

            assert (await issuer("POST", "tokens", {"name": "x", "scopes": [scope]})).status == status


async def test_issuer_with_site_limit_issues_for_its_sites_only(authority: Authority) -> None:
    site = (await authority.manage("GET", "/v1/sites")).json["items"][0]["id"]
    here = await create_admin_key(authority, "issuer", sites=[site])

    assert (await here(*NEW_TOKEN)).status == 201
    assert [each["id"] for each in (await here("GET", "sites")).json["items"]] == [site]


async def test_token_beyond_limits_of_issuer_returns_404(authority: Authority) -> None:
    issuer = await create_admin_key(authority, "issuer", scopes=["polls:*:PLAT"])
    mine, foreign = await authority.issue("polls:read:PLAT"), await authority.issue("polls:read:PLAT", "polls:read:OPS")
    path = f"tokens/{foreign['id']}"

    answers = [
        await issuer("GET", path),
        await issuer("PATCH", path, {"name": "x"}),
        await issuer("POST", f"{path}/disable", {}),
        await issuer("POST", f"{path}/enable"),
        await issuer("POST", f"{path}/rotate", {}),
        await issuer("POST", f"{path}/revoke", {"reason": "unneeded"}),
    ]
    listed = (await issuer("GET", "tokens")).json["items"]
    ended = (await issuer("POST", "tokens/revoke", {"reason": "unneeded", "all": True})).json

    assert {answer.status for answer in answers} == {404}
    assert [token["id"] for token in listed] == [mine["id"]]
    assert ended["revoked"] == 1
    assert (await authority.introspect(foreign["token"])).json["active"] is True


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"role": "issuer"}, "/scopes"),
    ({"role": "issuer", "scopes": []}, "/scopes"),
    ({"role": "issuer", "scopes": ["polls:fly:*"]}, "/scopes/0"),
    ({"role": "issuer", "sites": []}, "/sites"),
    ({"role": "issuer", "sites": ["site_unknown"]}, "/sites/0"),
    ({"role": "admin", "scopes": ["polls:*:*"]}, "/role"),
    ({"role": "boss"}, "/role"),
    ({"role": "auditor", "name": ""}, "/name"),
]


async def test_create_admin_key_with_invalid_field_returns_422(authority: Authority, subtests: pytest.Subtests) -> None:
    for body, pointer in INVALID:
        with subtests.test(body=body, pointer=pointer):
            answer = await authority.manage("POST", "/v1/admin-keys", {"name": "x", **body})

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)
            assert len((await authority.manage("GET", "/v1/admin-keys")).json["items"]) == 1


async def test_revoked_admin_key_returns_401_and_stays_listed(authority: Authority) -> None:
    auditor = await create_admin_key(authority, "auditor")

    revoked = [(await authority.manage("DELETE", f"/v1/admin-keys/{auditor.id}")).status for _ in range(2)]

    (shown,) = [
        key for key in (await authority.manage("GET", "/v1/admin-keys")).json["items"] if key["id"] == auditor.id
    ]
    assert revoked == [204, 204]
    assert (await auditor("GET", "tokens")).status == 401
    assert shown["revoked_at"]
    assert shown["revoked_by"].startswith("admin_key:adm_")


async def test_revoke_last_admin_returns_409(authority: Authority) -> None:
    await create_admin_key(authority, "auditor")
    own = (await authority.manage("GET", "/v1/admin-keys/own")).json["id"]

    answer = await authority.manage("DELETE", f"/v1/admin-keys/{own}")

    assert (answer.status, answer.json["type"]) == (409, "/docs/problems/last-administrator")
    assert (await authority.manage("GET", "/v1/sites")).status == 200


async def test_concurrent_revocation_of_last_two_admins_returns_409_once(
    authority: Authority, database: ClonedDatabase
) -> None:
    own = (await authority.manage("GET", "/v1/admin-keys/own")).json["id"]
    other = await create_admin_key(authority, "admin")
    await other("GET", "admin-keys/own")

    async with hold_rows(database, "token_authority.admin_key", waiting=2):
        removals = asyncio.gather(
            authority.manage("DELETE", f"/v1/admin-keys/{other.id}"), other("DELETE", f"admin-keys/{own}")
        )
    answers = await removals

    assert sorted(answer.status for answer in answers) == [204, 409]


async def test_rotated_admin_key_works_with_both_secrets_during_overlap(authority: Authority) -> None:
    auditor = await create_admin_key(authority, "auditor")

    rotated = (await authority.manage("POST", f"/v1/admin-keys/{auditor.id}/rotate", {})).json
    new = Manager(authority, rotated)

    assert [(await each("GET", "tokens")).status for each in (auditor, new)] == [200, 200]
    await authority.manage("POST", f"/v1/admin-keys/{auditor.id}/rotate", {"overlap_s": 0})
    assert [(await each("GET", "tokens")).status for each in (auditor, new)] == [401, 401]


async def test_unknown_admin_key_returns_404(authority: Authority, subtests: pytest.Subtests) -> None:
    for key_id in ["adm_unknown", "%00"]:
        with subtests.test(key_id=key_id):
            assert (await authority.manage("DELETE", f"/v1/admin-keys/{key_id}")).status == 404
            assert (await authority.manage("POST", f"/v1/admin-keys/{key_id}/rotate", {})).status == 404
