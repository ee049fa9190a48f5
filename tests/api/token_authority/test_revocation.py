"""Revocation of one or many tokens, by an administrator or the holder, effective when the response arrives."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.contract.token import digest, mint
from tests.support.databases import ClonedDatabase
from tests.support.guards import FakeGuard
from tests.support.logs import capture_log_lines
from tests.support.postgres import SLOW_COMMIT_S, copy_token, fetch, slow_down_commits
from tests.support.stack import Answer, Authority, run_token_authority

LEASE_S = 0.5


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"revocation_lease": LEASE_S}


async def test_revocation_without_guards_is_effective_immediately(authority: Authority) -> None:
    issued = await authority.issue()

    answer = await authority.revoke(issued["id"])

    assert (answer["seq"], answer["effective"], answer["guards"]) == (1, True, {"confirmed": 0, "expired": 0})
    assert answer["waited_ms"] < LEASE_S * 1000
    assert set(answer) == {"revoked_at", "seq", "effective", "waited_ms", "guards"}


async def test_revocation_waits_until_every_guard_with_lease_has_confirmed(authority: Authority) -> None:
    guards = [FakeGuard(authority) for _ in range(3)]
    for guard in guards:
        await guard.follow()
    issued = await authority.issue()

    revoking = asyncio.create_task(authority.revoke(issued["id"]))
    for guard in guards:
        await asyncio.sleep(0.05)
        assert not revoking.done()
        await guard.follow()

    assert (await revoking)["guards"] == {"confirmed": 3, "expired": 0}


async def test_log_names_actor_and_outcome_of_revocation(authority: Authority) -> None:
    issued = await authority.issue()

    with capture_log_lines() as logs:
        await authority.revoke(issued["id"])
        await authority("POST", "/oauth2/revoke", data={"token": issued["token"]})

    by_administrator, by_holder = (entry for entry in logs if entry["event"] == "request")
    assert by_administrator["admin_key_id"].startswith("adm_")
    assert [by_administrator[name] for name in ("seq", "revoked", "confirmed", "expired")] == [1, 1, 0, 0]
    assert [by_holder[name] for name in ("seq", "revoked", "confirmed", "expired")] == [1, 0, 0, 0]
    assert issued["token"] not in str(logs)


async def test_guard_may_confirm_at_other_process(
    authority: Authority, database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with run_token_authority(database, redis_url, tmp_path, revocation_lease=30.0) as other:
        guard = FakeGuard(other)
        await guard.follow()
        issued = await authority.issue()

        revoking = asyncio.create_task(authority.revoke(issued["id"]))
        while guard.applied != 1:
            await guard.follow()

        assert (await revoking)["guards"] == {"confirmed": 1, "expired": 0}


async def test_revocation_waits_for_longest_lease_granted_to_guard(
    authority: Authority, database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with run_token_authority(database, redis_url, tmp_path, revocation_lease=3 * LEASE_S) as other:
        guard_id = secrets.token_hex(16)
        await FakeGuard(other, guard_id).follow()
        await FakeGuard(authority, guard_id).follow()
        issued = await authority.issue()

        answer = await authority.revoke(issued["id"])

        assert answer["guards"] == {"confirmed": 0, "expired": 1}
        assert answer["waited_ms"] > 3 * LEASE_S * 1000


async def test_sync_that_only_fetches_change_does_not_confirm_change(authority: Authority) -> None:
    guard = FakeGuard(authority)
    await guard.follow()
    issued = await authority.issue()
    revoking = asyncio.create_task(authority.revoke(issued["id"]))
    while (await guard.sync()).json["head"] == 0:
        pass

    await asyncio.sleep(0.1)
    assert not revoking.done()
    await guard.follow()

    assert (await revoking)["guards"] == {"confirmed": 1, "expired": 0}


async def test_sync_ahead_of_log_does_not_confirm_revocation(authority: Authority) -> None:
    guard = FakeGuard(authority)
    await guard.follow()
    issued = await authority.issue()
    revoking = asyncio.create_task(authority.revoke(issued["id"]))
    while (await guard.sync()).json["head"] == 0:
        pass

    guard.applied = 1000
    answer = await guard.sync()

    assert (answer.json["afresh"], answer.json["head"]) == (True, 1)
    assert not revoking.done()
    await guard.follow()
    assert (await revoking)["guards"] == {"confirmed": 1, "expired": 0}


async def test_revocation_waits_for_silent_guard_until_its_lease_ends(authority: Authority) -> None:
    await FakeGuard(authority).follow()
    issued = await authority.issue()

    answer = await authority.revoke(issued["id"])

    assert (answer["effective"], answer["guards"]) == (True, {"confirmed": 0, "expired": 1})
    assert LEASE_S * 900 <= answer["waited_ms"] <= LEASE_S * 1000 + 300


async def test_released_lease_is_not_waited_for(authority: Authority) -> None:
    guard = FakeGuard(authority)
    await guard.follow()
    await guard.release()

    answer = await authority.revoke((await authority.issue())["id"])

    assert answer["guards"] == {"confirmed": 0, "expired": 0}


async def test_expired_lease_is_deleted(authority: Authority, database: ClonedDatabase) -> None:
    await FakeGuard(authority).follow()

    async with asyncio.timeout(LEASE_S + 5):
        while await fetch(database.admin_url, "SELECT 1 FROM token_authority.guard_lease"):
            await asyncio.sleep(0.05)

    assert (await authority.revoke((await authority.issue())["id"]))["guards"]["expired"] == 0


async def test_revocation_without_waiting_returns_effective_by(authority: Authority) -> None:
    await FakeGuard(authority).follow()
    issued = await authority.issue()

    started = time.monotonic()
    answer = await authority.revoke(issued["id"], wait="false")

    assert time.monotonic() - started < LEASE_S
    assert set(answer) == {"revoked_at", "seq", "effective", "effective_by"}
    assert answer["effective"] is False
    left = datetime.fromisoformat(answer["effective_by"]) - datetime.fromisoformat(answer["revoked_at"])
    assert LEASE_S <= left.total_seconds() <= LEASE_S + 1


@pytest.mark.own_database
async def test_effective_by_counts_from_commit_and_not_from_revoked_at(
    authority: Authority, database: ClonedDatabase
) -> None:
    guard = FakeGuard(authority)
    await guard.follow()
    issued = await authority.issue()
    await slow_down_commits(database)

    answer = await authority.revoke(issued["id"], wait="false")

    left = datetime.fromisoformat(answer["effective_by"]) - datetime.fromisoformat(answer["revoked_at"])
    assert left.total_seconds() >= LEASE_S + SLOW_COMMIT_S


async def test_invalid_wait_parameter_returns_400(authority: Authority) -> None:
    issued = await authority.issue()

    answer = await authority.manage("POST", f"/v1/tokens/{issued['id']}/revoke?wait=maybe", {"reason": "unneeded"})

    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "wait")
    assert (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json["status"] == "active"


async def test_repeated_revocation_returns_first_one_and_waits_as_well(authority: Authority) -> None:
    issued = await authority.issue()
    first = await authority.revoke(issued["id"])
    guard = FakeGuard(authority)
    await guard.follow()
    other = asyncio.create_task(authority.revoke((await authority.issue())["id"]))
    while (await guard.sync()).json["head"] < 2:
        pass

    again = await authority.revoke(issued["id"])

    assert (again["seq"], again["revoked_at"]) == (first["seq"], first["revoked_at"])
    assert again["guards"] == {"confirmed": 1, "expired": 0}
    await other


async def test_client_that_disconnects_while_waiting_changes_nothing(authority: Authority) -> None:
    guard = FakeGuard(authority)
    await guard.follow()
    issued = await authority.issue()
    waiting = asyncio.create_task(authority.revoke(issued["id"]))
    while (await guard.sync()).json["head"] == 0:
        pass

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert (await guard.sync()).json["changes"][0]["digest"] == digest(issued["token"]).hex()
    assert (await authority.introspect(issued["token"])).json == {"active": False}


async def test_concurrent_revocations_are_numbered_in_commit_order_without_gaps(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = [await authority.issue() for _ in range(20)]

    revocations = await asyncio.gather(*(authority.revoke(token["id"]) for token in issued))

    log = await fetch(database.admin_url, "SELECT seq, token_id FROM token_authority.change_log")
    assert sorted(revocation["seq"] for revocation in revocations) == list(range(1, 21))
    assert {row["token_id"]: row["seq"] for row in log} == {
        token["id"]: revocation["seq"] for token, revocation in zip(issued, revocations, strict=True)
    }


async def test_revoke_held_token_returns_200(authority: Authority) -> None:
    issued = await authority.issue()

    answer = await _present(authority, issued["token"], token_type_hint="access_token")

    assert (answer.status, answer.json["effective"]) == (200, True)
    assert (await authority.introspect(issued["token"])).json == {"active": False}


async def test_revoke_unknown_held_token_returns_200_and_empty_object(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for unknown in [mint("pgt"), "x", "pgt_", "a-token-of-another-server", "é" * 100]:
        with subtests.test(unknown=unknown[:4]):
            answer = await _present(authority, unknown)

            assert (answer.status, answer.json) == (200, {})


async def test_revoke_held_token_without_token_returns_400(authority: Authority, subtests: pytest.Subtests) -> None:
    for body, status in [({}, 400), ({"token": ""}, 400), ({"tok": "x"}, 400)]:
        with subtests.test(body=body, status=status):
            assert (await authority("POST", "/oauth2/revoke", data=body)).status == status


class Fleet:
    """An authority with tokens of two owners."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.tokens: dict[str, Any] = {}

    async def issue(self) -> None:
        for owner in ("ada", "bob"):
            for name, scope in (("all", "polls:*:*"), ("plat", "polls:read:PLAT"), ("issue", "polls:vote:PLAT/PLAT-1")):
                self.tokens[f"{owner} {name}"] = await self.authority.issue(scope, name=name, owner=owner)

    async def revoke(self, **conditions: Any) -> Any:
        answer = await self.authority.manage("POST", "/v1/tokens/revoke", {"reason": "unneeded", **conditions})
        assert answer.status == 200, answer.body
        return answer.json

    async def alive(self) -> set[str]:
        page = (await self.authority.manage("GET", "/v1/tokens")).json["items"]
        return {f"{token['owner']} {token['name']}" for token in page if token["status"] == "active"}


@pytest.fixture
async def fleet(authority: Authority) -> Fleet:
    made = Fleet(authority)
    await made.issue()
    return made


Conditions = Callable[[Fleet], Awaitable[dict[str, Any]]]


async def _ids(fleet: Fleet) -> dict[str, Any]:
    return {"ids": [fleet.tokens["ada all"]["id"], fleet.tokens["bob plat"]["id"], "tok_unknown"]}


async def _before(fleet: Fleet) -> dict[str, Any]:
    return {"issued_before": fleet.tokens["bob all"]["created_at"]}


async def _unused(fleet: Fleet) -> dict[str, Any]:
    await FakeGuard(fleet.authority).sync([(fleet.tokens["ada plat"]["id"], 3, 0)])
    return {"unused_since": (datetime.now(UTC) - timedelta(minutes=1)).isoformat()}


async def _owner(_fleet: Fleet) -> dict[str, Any]:
    return {"owner": "ada"}


async def _reading_plat(_fleet: Fleet) -> dict[str, Any]:
    return {"scope": "polls:read:PLAT/PLAT-1"}


async def _both(_fleet: Fleet) -> dict[str, Any]:
    return {"owner": "bob", "scope": "polls:vote:PLAT"}


async def _everything(_fleet: Fleet) -> dict[str, Any]:
    return {"all": True}


async def _site(fleet: Fleet) -> dict[str, Any]:
    return {"site": fleet.tokens["ada all"]["site"]}


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        (_ids, {"ada plat", "ada issue", "bob all", "bob issue"}),
        (_before, {"bob all", "bob plat", "bob issue"}),
        (_unused, {"ada plat"}),
        (_owner, {"bob all", "bob plat", "bob issue"}),
        (_reading_plat, {"ada issue", "bob issue"}),
        (_both, {"ada all", "ada plat", "ada issue", "bob plat"}),
        (_everything, set()),
        (_site, set()),
    ],
)
async def test_bulk_revocation_revokes_tokens_that_meet_every_condition(
    fleet: Fleet, conditions: Conditions, left: set[str]
) -> None:
    answer = await fleet.revoke(**await conditions(fleet))

    assert await fleet.alive() == left
    assert answer["revoked"] == 6 - len(left)
    assert answer["revocation"]["seq"] == answer["revoked"]
    assert answer["revocation"]["effective"] is True


async def test_bulk_revocation_of_empty_selection_revokes_nothing(fleet: Fleet) -> None:
    assert await fleet.revoke(owner="eve") == {
        "revoked": 0,
        "already_revoked": 0,
        "unmatched": [],
        "revocation": None,
    }


async def test_bulk_revocation_returns_unmatched_ids(fleet: Fleet) -> None:
    of_ada, of_bob = fleet.tokens["ada all"]["id"], fleet.tokens["bob all"]["id"]

    answer = await fleet.revoke(ids=["tok_unknown", of_ada, of_bob, of_ada], owner="ada")

    assert (answer["revoked"], answer["unmatched"]) == (1, sorted(["tok_unknown", of_bob]))


async def test_repeated_bulk_revocation_returns_latest_one_and_waits_as_well(fleet: Fleet) -> None:
    await fleet.revoke(owner="bob")
    guard = FakeGuard(fleet.authority)
    await guard.follow()
    body = {"owner": "ada", "reason": "owner_left"}
    first = await fleet.authority.manage("POST", "/v1/tokens/revoke?wait=false", body)

    again = asyncio.create_task(fleet.revoke(all=True))
    done, _ = await asyncio.wait({again}, timeout=0.1)
    assert not done
    await guard.follow()

    answer = await again
    assert (answer["revoked"], answer["already_revoked"]) == (0, 6)
    assert answer["revocation"]["seq"] == first.json["revocation"]["seq"] == 6
    assert answer["revocation"]["revoked_at"] == first.json["revocation"]["revoked_at"]
    assert answer["revocation"]["guards"] == {"confirmed": 1, "expired": 0}


async def test_bulk_revocation_of_partly_revoked_tokens_waits_for_all(fleet: Fleet) -> None:
    await fleet.revoke(ids=[fleet.tokens["ada all"]["id"]])

    answer = await fleet.revoke(owner="ada")

    assert (answer["revoked"], answer["already_revoked"], answer["revocation"]["seq"]) == (2, 1, 3)


NOT_UNDERSTOOD: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"all": True, "owner": "ada"}, ""),
    ({"all": False}, ""),
    ({"ids": []}, "/ids"),
    ({"ids": ["x"] * 1001}, "/ids"),
    ({"owner": ""}, "/owner"),
    ({"site": ""}, "/site"),
    ({"scope": "polls:fly:PLAT"}, "/scope"),
    ({"issued_before": "2026-11-31"}, "/issued_before"),
    ({"owned": "ada"}, "/owned"),
    ({"owner": "ada", "reason": "bored"}, "/reason"),
    ({"owner": "ada", "reason": "other"}, "/text"),
]


async def test_invalid_bulk_revocation_returns_422_and_revokes_nothing(fleet: Fleet, subtests: pytest.Subtests) -> None:
    for body, pointer in NOT_UNDERSTOOD:
        with subtests.test(pointer, body=str(body)[:80]):
            answer = await fleet.authority.manage("POST", "/v1/tokens/revoke", {"reason": "unneeded", **body})

            assert (answer.status, answer.json["errors"][0].get("pointer", "")) == (422, pointer)
            assert len(await fleet.alive()) == 6


@pytest.mark.parametrize("authority_settings", [{"revocation_lease": 60.0}])
async def test_bulk_revocation_of_thousands_is_one_range_and_one_wait(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue(owner="batch")
    await copy_token(database, issued["id"], 12_000)
    guard = FakeGuard(authority)
    await guard.follow()

    body = {"owner": "batch", "reason": "unneeded"}
    revoking = asyncio.create_task(authority.manage("POST", "/v1/tokens/revoke", body))
    while (answer := (await guard.sync()).json).get("head", 0) == 0:
        assert not revoking.done(), await revoking
        await asyncio.sleep(0.01)
    assert (answer["head"], answer["afresh"], answer["changes"]) == (12001, True, [])
    await guard.follow()

    ended = (await revoking).json
    assert (ended["revoked"], ended["revocation"]["seq"]) == (12001, 12001)
    assert ended["revocation"]["guards"]["confirmed"] == 1


async def _present(authority: Authority, token: str, **more: str) -> Answer:
    return await authority("POST", "/oauth2/revoke", data={"token": token, **more})
