"""Rotation of a token's secret: overlap, end on first use, repetitions, and use of old secrets."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.contract.token import digest
from tests.support.databases import ClonedDatabase
from tests.support.guards import FakeGuard
from tests.support.postgres import fetch
from tests.support.stack import Authority, Polls
from tests.support.token_fixtures import are_active, rotate

GONE = {"active": False}


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"revocation_lease": 0.5}


async def show(authority: Authority, token_id: str) -> Any:
    return (await authority.manage("GET", f"/v1/tokens/{token_id}")).json


async def test_rotated_token_keeps_its_id_and_gets_new_secret(authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT", metadata={"a": 1})

    rotated = (await rotate(authority, issued["id"])).json

    introspected = (await authority.introspect(rotated["token"])).json
    assert rotated["id"] == issued["id"]
    assert rotated["token"] != issued["token"]
    assert rotated["hint"] == f"pgt_…{rotated['token'][-4:]}"
    assert (introspected["client_id"], introspected["scope"], introspected["metadata"]) == (
        issued["id"],
        "polls:read:PLAT",
        {"a": 1},
    )


async def test_rotation_without_body_uses_defaults(authority: Authority) -> None:
    issued = await authority.issue()
    path = f"/v1/tokens/{issued['id']}"

    rotated = await authority("POST", f"{path}/rotate", headers=authority.admin)
    disabled = await authority("POST", f"{path}/disable", headers=authority.admin)

    assert (rotated.status, disabled.status) == (200, 200)
    assert [secret["works"] for secret in (await show(authority, issued["id"]))["secrets"]] == [False, False]


async def test_both_secrets_work_for_an_hour_by_default(authority: Authority) -> None:
    issued = await authority.issue()

    rotated = (await rotate(authority, issued["id"])).json

    old, new = (await authority.introspect(issued["token"])).json, (await authority.introspect(rotated["token"])).json
    end = datetime.fromisoformat(rotated["old_secrets_end_at"])
    assert timedelta(minutes=59) < end - datetime.now(UTC) <= timedelta(hours=1, seconds=1)
    assert (old["exp"], "exp" in new) == (int(end.timestamp()), False)
    assert old["client_id"] == new["client_id"] == issued["id"]
    assert old["jti"] != new["jti"]


async def test_old_secret_ends_no_later_than_its_token(authority: Authority) -> None:
    issued = await authority.issue(expires_in=60)

    await rotate(authority, issued["id"], overlap_s=3600)

    end = datetime.fromisoformat(issued["expires_at"])
    assert (await authority.introspect(issued["token"])).json["exp"] == int(end.timestamp())


async def test_rotation_without_overlap_ends_old_secret_everywhere_before_response(
    authority: Authority, polls: Polls
) -> None:
    issued = await authority.issue()
    caller = polls.with_token(issued["token"])
    assert (await caller.call("GET")).status == 200

    rotated = (await rotate(authority, issued["id"], overlap_s=0)).json

    assert (await caller.call("GET")).status == 403
    assert (await polls.with_token(rotated["token"]).call("GET")).status == 200
    assert rotated["effect"]["guards"] == {"confirmed": 1, "expired": 0}


async def test_end_of_old_secret_reaches_guards(authority: Authority) -> None:
    issued, guard = await authority.issue(), FakeGuard(authority)
    await guard.follow()

    rotating = asyncio.create_task(rotate(authority, issued["id"]))
    while (answer := await guard.sync()).json["head"] == 0:
        pass
    await guard.follow()

    (change,) = answer.json["changes"]
    assert change["digest"] == digest(issued["token"]).hex()
    assert (await rotating).json["effect"]["guards"]["confirmed"] == 1


async def test_end_on_use_ends_old_secret_with_first_use_of_new_one(authority: Authority, polls: Polls) -> None:
    issued = await authority.issue()
    old = polls.with_token(issued["token"])
    rotated = (await rotate(authority, issued["id"], end_on_use=True)).json
    assert (await old.call("GET")).status == 200

    assert (await polls.with_token(rotated["token"]).call("GET")).status == 200

    async with asyncio.timeout(5):
        while (await old.call("GET")).status == 200:
            await asyncio.sleep(0.02)
    assert await are_active(authority, issued["token"], rotated["token"]) == [False, True]


async def test_repeated_rotation_after_lost_response_replaces_lost_secret(authority: Authority) -> None:
    issued = await authority.issue()
    lost = (await rotate(authority, issued["id"], key="k1")).json

    again = (await rotate(authority, issued["id"], key="k1")).json

    assert len((await show(authority, issued["id"]))["secrets"]) == 2
    assert again["old_secrets_end_at"] == lost["old_secrets_end_at"]
    assert await are_active(authority, issued["token"], lost["token"], again["token"]) == [True, False, True]


async def test_repeated_rotation_days_later_replaces_lost_secret(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue()
    await rotate(authority, issued["id"], key="k1")
    long_ago = "UPDATE token_authority.secret SET ends_at = now() - interval '2 days' WHERE ends_at IS NOT NULL"
    await fetch(database.admin_url, long_ago)

    again = await rotate(authority, issued["id"], key="k1")

    assert (again.status, again.json["effect"]) == (200, None)
    assert await are_active(authority, issued["token"], again.json["token"]) == [False, True]


async def test_repeated_rotation_without_overlap_locks_no_user_out(authority: Authority) -> None:
    issued = await authority.issue()
    await rotate(authority, issued["id"], key="k1", overlap_s=0)

    again = (await rotate(authority, issued["id"], key="k1", overlap_s=0)).json

    assert await are_active(authority, issued["token"], again["token"]) == [False, True]


async def test_repeated_rotation_with_secret_in_use_returns_409(authority: Authority) -> None:
    issued = await authority.issue()
    rotated = (await rotate(authority, issued["id"], key="k1")).json
    assert await are_active(authority, rotated["token"]) == [True]

    again = await rotate(authority, issued["id"], key="k1")

    assert (again.status, again.json["type"]) == (409, "/docs/problems/rotation-in-use")
    assert await are_active(authority, issued["token"], rotated["token"]) == [True, True]


async def test_idempotency_key_with_different_rotation_returns_422(authority: Authority) -> None:
    issued = await authority.issue()
    await rotate(authority, issued["id"], key="k1")

    other = await rotate(authority, issued["id"], key="k1", overlap_s=10)

    assert (other.status, other.json["type"]) == (422, "/docs/problems/idempotency-key-reused")


async def test_idempotency_key_of_other_token_starts_another_rotation(authority: Authority) -> None:
    one, other = await authority.issue(), await authority.issue()

    answers = [await rotate(authority, token["id"], key="k1") for token in (one, other)]

    assert [answer.status for answer in answers] == [200, 200]


async def test_concurrent_repetitions_leave_one_new_secret_that_works(authority: Authority) -> None:
    issued = await authority.issue()

    answers = await asyncio.gather(*(rotate(authority, issued["id"], key="k1") for _ in range(5)))

    alive = await are_active(authority, *(answer.json["token"] for answer in answers))
    assert alive.count(True) == 1
    assert len((await show(authority, issued["id"]))["secrets"]) == 2


async def test_invalid_idempotency_key_returns_400(authority: Authority, subtests: pytest.Subtests) -> None:
    for key in ["", "with space", "x" * 256, "é"]:
        with subtests.test(key=key[:20]):
            issued = await authority.issue()
            headers = {**authority.admin, "Idempotency-Key": key}

            answer = await authority("POST", f"/v1/tokens/{issued['id']}/rotate", headers=headers, json={})

            assert answer.status == 400
            assert len((await show(authority, issued["id"]))["secrets"]) == 1


NO_OVERLAPS: list[tuple[dict[str, Any], str]] = [
    ({"overlap_s": -1}, "/overlap_s"),
    ({"overlap_s": 30 * 86_400 + 1}, "/overlap_s"),
    ({"overlap_s": 0, "end_on_use": True}, "/end_on_use"),
]


async def test_invalid_overlap_returns_422(authority: Authority, subtests: pytest.Subtests) -> None:
    for body, pointer in NO_OVERLAPS:
        with subtests.test(body=body, pointer=pointer):
            issued = await authority.issue()

            answer = await rotate(authority, issued["id"], **body)

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)


async def test_earlier_overlaps_continue_through_rotations_up_to_five_secrets(authority: Authority) -> None:
    issued = await authority.issue()
    secrets = [issued["token"], *[(await rotate(authority, issued["id"])).json["token"] for _ in range(4)]]

    sixth = await rotate(authority, issued["id"])

    assert await are_active(authority, *secrets) == [True] * 5
    assert (sixth.status, sixth.json["type"]) == (409, "/docs/problems/too-many-secrets")
    last = await rotate(authority, issued["id"], overlap_s=0)
    assert await are_active(authority, *secrets, last.json["token"]) == [False] * 5 + [True]


async def test_ended_secret_is_refused_whatever_the_clock_says(authority: Authority, database: ClonedDatabase) -> None:
    issued = await authority.issue()
    await rotate(authority, issued["id"], overlap_s=0)
    slow = "UPDATE token_authority.secret SET ends_at = now() + interval '1 minute' WHERE ends_at IS NOT NULL"

    await fetch(database.admin_url, slow)

    assert await are_active(authority, issued["token"]) == [False]


async def test_change_is_logged_only_for_secrets_that_guards_may_have_cached(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue()
    for _ in range(3):
        await rotate(authority, issued["id"], overlap_s=0)
    long_ago = "UPDATE token_authority.secret SET ends_at = now() - interval '2 days' WHERE ends_at IS NOT NULL"
    await fetch(database.admin_url, long_ago)

    before = (await authority.manage("POST", f"/v1/tokens/{issued['id']}/disable", {})).json["effect"]["seq"]
    after = (await authority.manage("POST", f"/v1/tokens/{issued['id']}/enable")).json["effect"]["seq"]

    assert after == before + 1


async def test_revocation_ends_every_secret(authority: Authority, polls: Polls) -> None:
    issued = await authority.issue()
    rotated = (await rotate(authority, issued["id"])).json
    callers = [polls.with_token(token["token"]) for token in (issued, rotated)]
    assert [(await caller.call("GET")).status for caller in callers] == [200, 200]

    await authority.revoke(issued["id"])

    assert [(await caller.call("GET")).status for caller in callers] == [403, 403]


async def test_use_of_ended_secret_is_alert_and_does_not_end_token(authority: Authority) -> None:
    issued = await authority.issue()
    rotated = (await rotate(authority, issued["id"], overlap_s=0)).json
    assert (await show(authority, issued["id"]))["rotated_secret_used_at"] is None

    assert await are_active(authority, issued["token"], issued["token"], rotated["token"]) == [False, False, True]

    shown = await show(authority, issued["id"])
    new, old = shown["secrets"]
    assert shown["status"] == "active"
    assert shown["rotated_secret_used_at"] == old["last_late_use_at"] is not None
    assert (old["works"], old["late_uses"], new["works"], new["late_uses"]) == (False, 2, True, 0)
    assert shown["refusals"] == 2


async def test_holder_of_ended_secret_cannot_revoke_token(authority: Authority) -> None:
    issued = await authority.issue()
    rotated = (await rotate(authority, issued["id"], overlap_s=0)).json

    revoked = await authority("POST", "/oauth2/revoke", data={"token": issued["token"]})
    leaked = await authority("POST", "/v1/tokens/leaked", json={"tokens": [issued["token"]]})

    assert (revoked.status, revoked.json) == (200, {})
    assert leaked.json == {"revoked": 0, "already_revoked": 1, "unknown": 0}
    assert await are_active(authority, rotated["token"]) == [True]


async def test_holder_of_secret_in_overlap_revokes_token(authority: Authority) -> None:
    issued = await authority.issue()
    rotated = (await rotate(authority, issued["id"])).json

    await authority("POST", "/oauth2/revoke", data={"token": issued["token"]})

    assert await are_active(authority, issued["token"], rotated["token"]) == [False, False]


async def test_holder_of_old_secret_learns_that_it_was_replaced(authority: Authority) -> None:
    issued = await authority.issue()
    await rotate(authority, issued["id"], overlap_s=0)

    answer = await authority("GET", "/v1/token", headers={"Authorization": f"Bearer {issued['token']}"})

    assert (answer.json["works"], answer.json["ended"]) == (False, "rotated")


async def test_uses_are_reported_by_secret_and_by_day(authority: Authority, polls: Polls) -> None:
    issued = await authority.issue("polls:read:PLAT")
    caller = polls.with_token(issued["token"])
    for _ in range(3):
        assert (await caller.call("GET")).status == 200
    assert (await caller.call("POST", {"title": "x", "options": [{"id": "1", "title": "x"}]})).status == 403

    async with asyncio.timeout(5):
        while True:
            shown = await show(authority, issued["id"])
            if (shown["uses"], shown["refusals"]) == (3, 1) and shown["secrets"][0]["last_used_at"]:
                break
            await asyncio.sleep(0.05)

    assert sum(day["uses"] for day in shown["days"]) == 3
    assert sum(day["refusals"] for day in shown["days"]) == 1
    assert shown["days"][0]["day"] == shown["last_used_at"][:10]
