"""The audit log: a record of every change in its transaction, chained so that tampering is detected."""

from typing import Any

import asyncpg
import msgspec
import pytest

from shared.contract.audit import AuditRecord, BrokenChain, ChainCheck
from shared.contract.token import SECRET_PATTERN
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services


async def list_records(authority: Authority, query: str = "") -> list[Any]:
    answer = await authority.manage("GET", f"/v1/audit?{query}")
    assert answer.status == 200, answer.body
    return list(answer.json["items"])


async def export_records(authority: Authority, query: str = "") -> list[AuditRecord]:
    answer = await authority.manage("GET", f"/v1/audit/export?{query}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/jsonl")
    return [msgspec.json.decode(line, type=AuditRecord) for line in answer.body.splitlines()]


async def make_changes(authority: Authority) -> list[str]:
    """Make a change of every kind. Return the expected actions in order."""
    issued = await authority.issue(name="Nightly")
    path = f"/v1/tokens/{issued['id']}"
    key = (await authority.manage("POST", "/v1/admin-keys", {"name": "A", "role": "auditor"})).json
    await authority.manage("POST", "/v1/services", {"client_id": "s"})
    calls: list[tuple[str, str, Any]] = [
        ("PATCH", path, {"name": "Daily"}),
        ("PATCH", path, {"scopes": ["polls:read:PLAT"]}),
        ("POST", f"{path}/disable", {"reason": "pause"}),
        ("POST", f"{path}/enable", None),
        ("POST", f"{path}/rotate", {}),
        ("POST", f"/v1/admin-keys/{key['id']}/rotate", {}),
        ("DELETE", f"/v1/admin-keys/{key['id']}", None),
        ("PATCH", "/v1/services/s", {"name": "S"}),
        ("POST", "/v1/services/s/rotate", {}),
        ("POST", "/v1/services/s/disable", None),
        ("POST", "/v1/services/s/enable", None),
        ("POST", "/v1/keys/rotate", None),
    ]
    for method, url, body in calls:
        assert (await authority.manage(method, url, body)).status in (200, 201, 204)
    assert (await authority("POST", "/oauth2/revoke", data={"token": issued["token"]})).status == 200
    return [
        *(
            "site.make",
            "admin_key.make",
            "service.make",
            "service.take_secret",
            "signing_key.make",
            "token.issue",
            "admin_key.make",
            "service.make",
        ),
        *("token.change", "token.change", "token.disable", "token.enable", "token.rotate", "admin_key.rotate"),
        *("admin_key.revoke", "service.change", "service.rotate", "service.disable", "service.enable"),
        *("signing_key.rotate", "token.revoke"),
    ]


async def test_every_change_writes_chained_record_in_order(authority: Authority) -> None:
    expected = await make_changes(authority)

    log = await export_records(authority)

    check = ChainCheck()
    check.check(log)
    assert [record.action for record in log] == expected
    assert check.head == (len(log), log[-1].hash)


async def test_record_has_actor_action_subject_address_and_changed_fields(authority: Authority) -> None:
    issued = await authority.issue(name="Nightly")
    own = (await authority.manage("GET", "/v1/admin-keys/own")).json["id"]
    headers = {**authority.admin, "X-Request-ID": "request-1"}

    await authority("PATCH", f"/v1/tokens/{issued['id']}", headers=headers, json={"name": "Daily"})

    record = (await list_records(authority))[-1]
    assert (record["actor"], record["actor_id"], record["address"]) == ("admin_key", own, "127.0.0.1")
    assert (record["request_id"], record["action"]) == ("request-1", "token.change")
    assert record["subject"] == f"token:{issued['id']}"
    assert (record["before"], record["after"]) == ({"name": "Nightly"}, {"name": "Daily"})


async def test_record_contains_scopes_as_text(authority: Authority) -> None:
    issued = await authority.issue("polls:*:PLAT", "polls:read:A%2FB")

    await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"scopes": ["polls:read:PLAT"]})

    made, narrowed = await list_records(authority, f"subject=token:{issued['id']}")
    assert made["after"]["scopes"] == narrowed["before"]["scopes"] == ["polls:*:PLAT", "polls:read:A%2FB"]
    assert narrowed["after"]["scopes"] == ["polls:read:PLAT"]


async def test_refused_and_unchanged_requests_write_no_record(authority: Authority) -> None:
    issued = await authority.issue(name="Nightly")
    path = f"/v1/tokens/{issued['id']}"
    before = len(await list_records(authority))

    await authority.manage("PATCH", path, {"name": "Nightly"})
    await authority.manage("PATCH", path, {"scopes": ["polls:*:*", "polls:fly:*"]})
    await authority.manage("POST", f"{path}/enable")
    await authority.manage("POST", "/v1/tokens", {"name": "", "scopes": []})
    await authority.manage("DELETE", "/v1/admin-keys/adm_unknown")

    assert len(await list_records(authority)) == before


async def test_no_record_contains_secret(authority: Authority) -> None:
    await make_changes(authority)

    for answer in (await authority.manage("GET", "/v1/audit"), await authority.manage("GET", "/v1/audit/export")):
        assert SECRET_PATTERN.findall(answer.body.decode()) == []


async def test_bulk_revocation_writes_record_per_token(authority: Authority) -> None:
    issued = [await authority.issue() for _ in range(3)]

    await authority.manage("POST", "/v1/tokens/revoke", {"reason": "leaked", "text": "all of them", "all": True})

    log = (await list_records(authority))[-3:]
    assert {record["subject"] for record in log} == {f"token:{token['id']}" for token in issued}
    assert log[0]["after"] == {"revoked_reason": "leaked", "revoked_text": "all of them"}


async def test_list_audit_with_pages_and_conditions_returns_matching_records(authority: Authority) -> None:
    issued = await authority.issue()
    await authority.revoke(issued["id"])
    log = await list_records(authority)

    first = (await authority.manage("GET", "/v1/audit?limit=2")).json
    second = (await authority.manage("GET", f"/v1/audit?limit=1000&after={first['next']}")).json

    assert first["items"] + second["items"] == log
    assert second["next"] is None
    newest = (await authority.manage("GET", "/v1/audit?newest_first=true&limit=3")).json
    rest = (await authority.manage("GET", f"/v1/audit?newest_first=true&after={newest['next']}")).json
    assert newest["items"] + rest["items"] == log[::-1]
    of_token = await list_records(authority, f"subject=token:{issued['id']}")
    assert [record["action"] for record in of_token] == ["token.issue", "token.revoke"]
    assert await list_records(authority, "action=token.revoke") == log[-1:]
    assert await list_records(authority, f"actor_id={log[-1]['actor_id']}") == log[-2:]
    assert await list_records(authority, f"since={log[-1]['at']}") == log[-1:]
    assert await list_records(authority, f"until={log[-1]['at']}") == log[:-1]
    assert [record.seq for record in await export_records(authority, "action=token.revoke")] == [log[-1]["seq"]]


async def test_list_audit_with_invalid_condition_returns_400(authority: Authority, subtests: pytest.Subtests) -> None:
    for query in ["limit=0", "limit=1001", "after=-1", "since=yesterday", "colour=red", "after=1&after=2"]:
        with subtests.test(query=query):
            assert (await authority.manage("GET", f"/v1/audit?{query}")).status == 400


REWRITES = [
    "UPDATE token_authority.audit_log SET action = 'x'",
    "DELETE FROM token_authority.audit_log",
    "TRUNCATE token_authority.audit_log",
    "ALTER TABLE token_authority.audit_log DISABLE TRIGGER ALL",
    "DROP TABLE token_authority.audit_log",
]


@pytest.mark.own_database
async def test_service_role_cannot_change_or_delete_records(
    authority: Authority, database: ClonedDatabase, subtests: pytest.Subtests
) -> None:
    for statement in REWRITES:
        with subtests.test(statement=statement):
            await authority.issue()

            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await fetch(database.token_authority_url, statement)


@pytest.mark.parametrize(
    ("tampering", "where"),
    [
        ("UPDATE token_authority.audit_log SET actor_id = 'adm_other' WHERE seq = 4", "record 4 has been changed"),
        ("UPDATE token_authority.audit_log SET after = '{}' WHERE seq = 6", "record 6 has been changed"),
        ("UPDATE token_authority.audit_log SET at = at - interval '1 day' WHERE seq = 4", "record 4 has been changed"),
        ("DELETE FROM token_authority.audit_log WHERE seq = 4", "record 4 is missing"),
        ("UPDATE token_authority.audit_log SET hash = sha256('x') WHERE seq = 4", "record 4 has been changed"),
        (
            "UPDATE token_authority.audit_log SET seq = -seq WHERE seq IN (4, 5);"
            "UPDATE token_authority.audit_log SET seq = 9 + seq WHERE seq < 0",
            "record 4 has been changed|does not follow|is missing",
        ),
    ],
)
async def test_tampering_by_database_owner_is_detected(
    authority: Authority, database: ClonedDatabase, tampering: str, where: str
) -> None:
    for _ in range(3):
        await authority.issue()
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute(tampering)
    await connection.close()

    log = await export_records(authority)

    with pytest.raises(BrokenChain, match=where):
        ChainCheck().check(log)


@pytest.mark.own_database
async def test_change_without_audit_record_returns_500_and_is_rolled_back(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue()
    await fetch(database.admin_url, "REVOKE INSERT ON token_authority.audit_log FROM token_authority")

    answer = await authority.manage("POST", f"/v1/tokens/{issued['id']}/revoke", {"reason": "unneeded"})

    assert answer.status == 500
    assert (await authority.introspect(issued["token"])).json["active"] is True
