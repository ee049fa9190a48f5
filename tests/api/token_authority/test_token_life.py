"""The life of a token: narrowed, disabled, enabled, revoked, and read by its holder."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.contract.token import digest, mint
from tests.support.guards import FakeGuard
from tests.support.stack import Answer, Authority

pytestmark = pytest.mark.shared_services

LEASE_S = 0.5
SECRET = mint("pgt")
NESTED = json.loads("[" * 50 + "]" * 50)


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"revocation_lease": LEASE_S}


async def change(authority: Authority, token_id: str, **fields: Any) -> Answer:
    return await authority.manage("PATCH", f"/v1/tokens/{token_id}", fields)


async def disable(authority: Authority, token_id: str, **fields: Any) -> Answer:
    return await authority.manage("POST", f"/v1/tokens/{token_id}/disable", fields)


async def enable(authority: Authority, token_id: str) -> Answer:
    return await authority.manage("POST", f"/v1/tokens/{token_id}/enable")


async def show_held(authority: Authority, secret: str) -> Answer:
    return await authority("GET", "/v1/token", headers={"Authorization": f"Bearer {secret}"})


async def test_created_token_has_every_requested_field(authority: Authority) -> None:
    requested: dict[str, Any] = {
        "description": "Posts the weekly poll.\nAsk in #polls.",
        "owner": "ada",
        "allow_query": False,
        "allowed_ips": ["203.0.113.7", "10.0.0.0/8", "2001:db8::/32", "::ffff:192.0.2.0/120"],
        "rate_limit": 60,
        "metadata": {"team": "payments", "tags": [1, 2.5, None]},
    }

    issued = await authority.issue(**requested)

    requested["allowed_ips"] = ["203.0.113.7/32", "10.0.0.0/8", "2001:db8::/32", "192.0.2.0/24"]
    introspected = (await authority.introspect(issued["token"])).json
    assert requested.items() <= issued.items()
    assert issued["created_by"].startswith("admin_key:adm_")
    assert {name: introspected[name] for name in ("allow_query", "allowed_ips", "rate_limit", "metadata")} == {
        name: requested[name] for name in ("allow_query", "allowed_ips", "rate_limit", "metadata")
    }


EXPIRIES: list[tuple[int | str, float | None]] = [
    ("7d", 7),
    ("365d", 365),
    ("12h", 0.5),
    ("1w", 7),
    ("2h30m", 2.5 / 24),
    ("90m", 1.5 / 24),
    ("P90D", 90),
    ("P2W", 14),
    ("PT36H", 1.5),
    ("P1DT12H", 1.5),
    ("3600s", 1 / 24),
    (86_400, 1),
    ("never", None),
]


async def test_expiry_may_be_duration_or_seconds(authority: Authority, subtests: pytest.Subtests) -> None:
    for requested, days in EXPIRIES:
        with subtests.test(requested=requested, days=days):
            issued = await authority.issue(expires_in=requested)

            if days is None:
                assert issued["expires_at"] is None
            else:
                left = datetime.fromisoformat(issued["expires_at"]) - datetime.fromisoformat(issued["created_at"])
                assert timedelta(days=days) - timedelta(seconds=1) <= left <= timedelta(days=days)


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"expires_in": 0}, "/expires_in"),
    ({"expires_in": -5}, "/expires_in"),
    ({"expires_in": 10**12}, "/expires_in"),
    ({"expires_in": 2**53}, "/expires_in"),
    *(
        ({"expires_in": text}, "/expires_in")
        for text in ("8", "8x", "d8", "P", "P1Y", "PT", "1.5d", "0d", "9" * 9 + "w", "1d" * 40)
    ),
    ({"expires_in": "7d", "expires_at": "2030-01-01T00:00:00Z"}, "/expires_in"),
    ({"allowed_ips": ["10.0.0.1/8"]}, "/allowed_ips/0"),
    ({"allowed_ips": ["10.0.0.0/8", "here"]}, "/allowed_ips/1"),
    ({"allowed_ips": ["10.0.0.0/8"] * 101}, "/allowed_ips"),
    ({"rate_limit": 0}, "/rate_limit"),
    ({"rate_limit": 1_000_001}, "/rate_limit"),
    ({"metadata": {"x": "y" * 4096}}, "/metadata"),
    ({"metadata": {"x": "a\0b"}}, "/metadata"),
    ({"metadata": []}, "/metadata"),
    ({"description": "x" * 2001}, "/description"),
    ({"description": "\x1b[31m"}, "/description"),
    ({"owner": ""}, "/owner"),
    ({"name": f"my {SECRET}"}, "/name"),
    ({"owner": SECRET}, "/owner"),
    ({"description": f"use {SECRET}\nhere"}, "/description"),
    ({"metadata": {"list": [{"token": SECRET}]}}, "/metadata"),
    ({"metadata": {SECRET: 1}}, "/metadata"),
    ({"metadata": {"deep": NESTED}}, "/metadata"),
    ({"scopes": [f"polls:read:{SECRET}"]}, "/scopes"),
    ({"scopes": ["polls:read:" + "x" * 1000] * 20}, "/scopes"),
    ({"allowed_ips": [f"fe80::1%{SECRET}"]}, "/allowed_ips/0"),
]


async def test_create_token_with_invalid_field_returns_422_and_creates_nothing(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for fields, pointer in INVALID:
        with subtests.test(pointer, fields=str(fields)[:80]):
            answer = await authority.manage("POST", "/v1/tokens", {"name": "x", "scopes": ["polls:*:*"], **fields})

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)
            assert SECRET not in answer.body.decode()
            assert (await authority.manage("GET", "/v1/tokens")).json["items"] == []


async def test_descriptive_fields_change_freely(authority: Authority) -> None:
    issued = await authority.issue(owner="ada")

    answer = await change(authority, issued["id"], name="new", description="d", owner=None)

    assert answer.status == 200
    assert (answer.json["name"], answer.json["description"], answer.json["owner"]) == ("new", "d", None)
    assert answer.json["effect"] is None


async def test_narrowed_token_is_effective_like_a_revocation(authority: Authority) -> None:
    issued, guard = await authority.issue("polls:*:PLAT", "polls:read:OPS"), FakeGuard(authority)
    await guard.follow()

    changing = asyncio.create_task(change(authority, issued["id"], scopes=["polls:read,vote:PLAT/PLAT-1"]))
    while (answer := await guard.sync()).json["head"] == 0:
        pass
    assert not changing.done()
    await guard.follow()

    changed = (await changing).json
    (logged,) = answer.json["changes"]
    assert logged["digest"] == digest(issued["token"]).hex()
    assert changed["effect"]["guards"] == {"confirmed": 1, "expired": 0}
    assert changed["scopes"] == ["polls:read,vote:PLAT/PLAT-1"]
    assert (await authority.introspect(issued["token"])).json["scope"] == "polls:read,vote:PLAT/PLAT-1"


async def test_repeated_narrowing_after_lost_response_waits_again(authority: Authority) -> None:
    issued, guard = await authority.issue(), FakeGuard(authority)
    await guard.follow()
    path, body = f"/v1/tokens/{issued['id']}?wait=false", {"scopes": ["polls:read:PLAT"]}
    assert (await authority.manage("PATCH", path, body)).json["effect"]["effective"] is False

    again = asyncio.create_task(change(authority, issued["id"], **body))
    while (await guard.sync()).json["head"] < 2:
        pass
    assert not again.done()
    await guard.follow()

    assert (await again).json["effect"]["guards"] == {"confirmed": 1, "expired": 0}


LIMITED: dict[str, Any] = {
    "expires_in": 86_400,
    "allow_query": False,
    "allowed_ips": ["10.0.0.0/8", "2001:db8::/32"],
    "rate_limit": 60,
}


TIGHTER: list[dict[str, Any]] = [
    {"rate_limit": 10},
    {"allowed_ips": ["10.1.0.0/16"]},
    {"expires_in": 3600},
    {"metadata": {"a": 1}},
    {"scopes": ["polls:read:PLAT/1", "polls:vote:PLAT"]},
]


async def test_each_limit_can_be_tightened(authority: Authority, subtests: pytest.Subtests) -> None:
    for fields in TIGHTER:
        with subtests.test(fields=fields):
            issued = await authority.issue("polls:read,vote:PLAT", **LIMITED)

            answer = await change(authority, issued["id"], **fields)

            assert (answer.status, answer.json["effect"]["effective"]) == (200, True)


async def test_limits_can_be_added_to_unlimited_token(authority: Authority) -> None:
    issued = await authority.issue()

    answer = await change(authority, issued["id"], **LIMITED)

    assert (answer.status, answer.json["rate_limit"], answer.json["allow_query"]) == (200, 60, False)


async def test_change_token_to_expiry_in_the_past_returns_422(authority: Authority, subtests: pytest.Subtests) -> None:
    past: list[dict[str, Any]] = [{"expires_in": 0}, {"expires_in": -1}, {"expires_at": "2020-01-01T00:00:00Z"}]
    for fields in past:
        with subtests.test(fields=fields):
            issued = await authority.issue()

            answer = await change(authority, issued["id"], **fields)

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, f"/{next(iter(fields))}")


MORE: list[tuple[dict[str, Any], str]] = [
    ({"scopes": ["polls:read:*"]}, "/scopes"),
    ({"scopes": ["polls:read,create:PLAT"]}, "/scopes"),
    ({"scopes": ["polls:read:PLAT", "polls:read:OPS"]}, "/scopes"),
    ({"expires_in": 2 * 86_400}, "/expires_in"),
    ({"expires_at": None}, "/expires_at"),
    ({"expires_in": "never"}, "/expires_in"),
    ({"allow_query": True}, "/allow_query"),
    ({"allowed_ips": []}, "/allowed_ips"),
    ({"allowed_ips": ["10.0.0.0/8", "11.0.0.0/8"]}, "/allowed_ips"),
    ({"allowed_ips": ["0.0.0.0/0"]}, "/allowed_ips"),
    ({"rate_limit": None}, "/rate_limit"),
    ({"rate_limit": 61}, "/rate_limit"),
]


async def test_widening_token_returns_422_that_names_the_field(authority: Authority, subtests: pytest.Subtests) -> None:
    for fields, pointer in MORE:
        with subtests.test(fields=fields, pointer=pointer):
            issued = await authority.issue("polls:read,vote:PLAT", **LIMITED)
            before = (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json

            answer = await change(authority, issued["id"], **fields)

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)
            assert "new" in answer.json["detail"]
            assert (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json == before


async def test_disabled_token_does_not_work_until_enabled(authority: Authority) -> None:
    issued = await authority.issue()

    disabled = (await disable(authority, issued["id"], reason="on holiday")).json
    introspected = (await authority.introspect(issued["token"])).json
    enabled = (await enable(authority, issued["id"])).json

    assert (disabled["status"], disabled["disabled_reason"], introspected) == (
        "disabled",
        "on holiday",
        {"active": False},
    )
    assert disabled["disabled_by"].startswith("admin_key:")
    assert (enabled["status"], enabled["disabled_at"], enabled["disabled_by"]) == ("active", None, None)
    assert (await authority.introspect(issued["token"])).json["active"] is True


async def test_disable_token_waits_for_guards_even_if_repeated(authority: Authority) -> None:
    issued, guard = await authority.issue(), FakeGuard(authority)
    await guard.follow()

    first = await authority.manage("POST", f"/v1/tokens/{issued['id']}/disable?wait=false", {})
    again = asyncio.create_task(disable(authority, issued["id"], reason="again"))
    while (await guard.sync()).json["head"] < 2:
        pass
    assert not again.done()
    await guard.follow()

    assert first.json["effect"]["effective"] is False
    assert (await again).json["effect"]["guards"] == {"confirmed": 1, "expired": 0}
    assert (await again).json["disabled_reason"] is None


async def test_change_ended_token_returns_409(authority: Authority) -> None:
    issued = await authority.issue()
    await authority.revoke(issued["id"])
    path = f"/v1/tokens/{issued['id']}"

    answers = [
        await change(authority, issued["id"], name="x"),
        await disable(authority, issued["id"]),
        await enable(authority, issued["id"]),
        await authority.manage("POST", f"{path}/rotate", {}),
    ]

    assert {answer.status for answer in answers} == {409}
    assert (await authority.manage("GET", path)).json["name"] == "a token"


async def test_revoked_token_shows_when_why_and_by_which_administrator(authority: Authority) -> None:
    one, other, third = [await authority.issue() for _ in range(3)]

    body = {"reason": "leaked", "text": "in a public repository"}
    await authority.manage("POST", f"/v1/tokens/{one['id']}/revoke", body)
    await authority("POST", "/oauth2/revoke", data={"token": other["token"]})
    await authority("POST", "/v1/tokens/leaked", json={"tokens": [third["token"]]})

    shown = [(await authority.manage("GET", f"/v1/tokens/{token['id']}")).json for token in (one, other, third)]
    assert [token["revoked_reason"] for token in shown] == ["leaked", "other", "leaked"]
    assert shown[0]["revoked_text"] == "in a public repository"
    assert shown[0]["revoked_by"].startswith("admin_key:adm_")
    assert shown[1]["revoked_by"] == f"holder:{other['id']}"
    assert shown[2]["revoked_by"] == "holder"


async def test_dry_run_of_bulk_revocation_counts_and_revokes_nothing(authority: Authority) -> None:
    issued = [await authority.issue(owner="ada") for _ in range(3)]
    await authority.revoke(issued[0]["id"])

    body = {"reason": "owner_left", "owner": "ada", "dry_run": True}
    answer = await authority.manage("POST", "/v1/tokens/revoke", body)

    assert answer.json == {"revoked": 2, "already_revoked": 1, "unmatched": [], "revocation": None}
    assert (await authority.introspect(issued[1]["token"])).json["active"] is True


async def test_report_leaked_tokens_without_credential_revokes_them(authority: Authority) -> None:
    alive, dead = [await authority.issue() for _ in range(2)], await authority.issue()
    await authority.revoke(dead["id"])
    found = [
        *(token["token"] for token in alive),
        dead["token"],
        alive[0]["token"],
        mint("pgt"),
        "pgt_x",
        "\ud83d\ude00",
    ]

    answer = await authority("POST", "/v1/tokens/leaked", json={"tokens": found})

    assert (answer.status, answer.json) == (200, {"revoked": 2, "already_revoked": 1, "unknown": 3})
    for token in alive:
        assert (await authority.introspect(token["token"])).json == {"active": False}


NO_REPORTS = [{}, {"tokens": []}, {"tokens": ["x"] * 1001}, {"tokens": [1]}, {"tokens": "x"}]


async def test_invalid_leak_report_returns_422(authority: Authority, subtests: pytest.Subtests) -> None:
    for body in NO_REPORTS:
        with subtests.test(body=str(body)[:40]):
            assert (await authority("POST", "/v1/tokens/leaked", json=body)).status == 422


async def test_holder_reads_permissions_of_token(authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT", expires_in="7d", rate_limit=60, metadata={"secret": "of admins"})

    answer = await show_held(authority, issued["token"])

    assert answer.status == 200
    assert answer.json == {
        "id": issued["id"],
        "name": "a token",
        "site": issued["site"],
        "scopes": ["polls:read:PLAT"],
        "works": True,
        "expires_at": issued["expires_at"],
        "allow_query": True,
        "allowed_ips": [],
        "rate_limit": 60,
        "self_rotation": False,
        "ended": None,
        "ended_at": None,
        "reason": None,
    }


async def test_holder_of_ended_token_reads_since_when_and_why(authority: Authority) -> None:
    revoked, disabled = await authority.issue(), await authority.issue()
    expired = await authority.issue(expires_in=1)
    await authority.manage("POST", f"/v1/tokens/{revoked['id']}/revoke", {"reason": "owner_left"})
    await disable(authority, disabled["id"], reason="on holiday")
    while datetime.now(UTC) <= datetime.fromisoformat(expired["expires_at"]):
        await asyncio.sleep(0.05)

    shown = [(await show_held(authority, token["token"])).json for token in (revoked, disabled, expired)]

    assert [(token["works"], token["ended"], token["reason"]) for token in shown] == [
        (False, "revoked", "owner_left"),
        (False, "disabled", "on holiday"),
        (False, "expired", None),
    ]
    assert all(token["ended_at"] for token in shown)


async def test_show_unknown_held_token_returns_401(authority: Authority, subtests: pytest.Subtests) -> None:
    for secret in ["", "x", mint("pgt"), mint("pga")]:
        with subtests.test(secret=secret[:4]):
            answer = await show_held(authority, secret)

            assert (answer.status, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer")


class TestMaxTokenLifetime:
    """With a maximum lifetime of 90 days."""

    @pytest.fixture
    def authority_settings(self) -> dict[str, Any]:
        return {"max_token_lifetime_days": 90}

    async def test_create_token_beyond_max_lifetime_returns_422(
        self, authority: Authority, subtests: pytest.Subtests
    ) -> None:
        for fields in [{}, {"expires_in": "never"}, {"expires_in": "365d"}]:
            with subtests.test(fields=fields):
                answer = await authority.manage("POST", "/v1/tokens", {"name": "x", "scopes": ["polls:*:*"], **fields})

                assert answer.status == 422
                assert "90 days" in answer.json["detail"]

    async def test_create_token_within_max_lifetime_returns_201(self, authority: Authority) -> None:
        assert (await authority.issue(expires_in="90d"))["expires_at"]
