"""The sync: what a guard learns of changes, its lease, and what it tells of itself and of tokens' use."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.token_authority.operations.upkeep import Upkeep
from shared.contract.token import mint
from shared.runtime.postgres.database import database as open_database
from tests.support.databases import ClonedDatabase
from tests.support.guards import FakeGuard
from tests.support.postgres import SLOW_COMMIT_S, fetch, slow_down_commits
from tests.support.stack import Authority, basic


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"revocation_lease": 0.5}


async def _revoke(authority: Authority, count: int = 1) -> list[str]:
    ids = [(await authority.issue())["id"] for _ in range(count)]
    for token_id in ids:
        await authority.revoke(token_id, wait="false")
    return ids


async def test_a_guard_that_begins_starts_afresh_at_the_head(authority: Authority) -> None:
    await _revoke(authority, 3)

    answer = await FakeGuard(authority).sync()

    assert answer.json == {
        "head": 3,
        "lease_ms": 500,
        "resync": True,
        "afresh": True,
        "changes": [],
        "issuer": "http://127.0.0.1:8081",
    }


async def test_a_guard_learns_the_changes_after_what_it_has_applied_in_order(authority: Authority) -> None:
    guard = FakeGuard(authority)
    ids = await _revoke(authority, 3)
    guard.applied = 1

    answer = (await guard.sync()).json

    assert (answer["head"], answer["afresh"]) == (3, False)
    assert [(change["seq"], change["token_id"]) for change in answer["changes"]] == [(2, ids[1]), (3, ids[2])]


async def test_a_guard_that_is_behind_the_trim_starts_afresh(authority: Authority, database: ClonedDatabase) -> None:
    await _revoke(authority, 4)
    await _published(database, 4)
    behind, there = FakeGuard(authority), FakeGuard(authority)
    there.applied = 4
    await there.sync()
    async with open_database(database.token_authority_url, size=1, statement_cache=0) as opened:
        await Upkeep(opened).trim(datetime.now(UTC) + timedelta(hours=1))

    behind.applied = 2
    answers = [(await guard.sync()).json for guard in (behind, there)]

    assert [(answer["head"], answer["afresh"]) for answer in answers] == [(4, True), (4, False)]
    await _revoke(authority)
    assert (await there.sync()).json["head"] == 5


async def test_nothing_is_trimmed_that_a_lease_needs_or_redis_has_not_had(
    authority: Authority, database: ClonedDatabase
) -> None:
    await _revoke(authority, 5)
    await _published(database, 5)
    await fetch(database.admin_url, "UPDATE token_authority.change_log SET published_at = NULL WHERE seq >= 4")
    guard = FakeGuard(authority)
    guard.applied = 2
    await guard.sync()

    async def kept() -> list[int]:
        async with open_database(database.token_authority_url, size=1, statement_cache=0) as opened:
            await Upkeep(opened).trim(datetime.now(UTC) + timedelta(hours=1))
        return [row["seq"] for row in await fetch(database.admin_url, "SELECT seq FROM token_authority.change_log")]

    assert min(await kept()) == 3


@pytest.mark.own_database
async def test_a_lease_is_on_record_before_a_change_or_comes_along_with_it(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued, late = await authority.issue(), FakeGuard(authority)
    await slow_down_commits(database)

    revoking = asyncio.create_task(authority.revoke(issued["id"]))
    await asyncio.sleep(SLOW_COMMIT_S / 2)
    answer = await late.sync()

    assert (answer.json["head"], (await revoking)["guards"]) == (1, {"confirmed": 0, "expired": 0})


async def test_guards_that_ask_together_get_each_their_own_answer(authority: Authority) -> None:
    guards = [FakeGuard(authority) for _ in range(20)]
    await asyncio.gather(*(guard.follow() for guard in guards[:10]))
    await _revoke(authority, 3)
    guards[0].applied, guards[1].applied, guards[2].applied = 1, 2, 99

    answers = await asyncio.gather(*(guard.sync() for guard in guards))

    lacking = [[change["seq"] for change in answer.json["changes"]] for answer in answers]
    assert lacking == [[2, 3], [3], [], *([[1, 2, 3]] * 7), *([[]] * 10)]
    assert [answer.json["afresh"] for answer in answers] == [False, False, True, *([False] * 7), *([True] * 10)]


async def test_a_guard_ahead_of_the_log_starts_afresh_and_confirms_nothing(
    authority: Authority, database: ClonedDatabase
) -> None:
    guard = FakeGuard(authority)
    guard.applied = 1000

    answer = await guard.sync()

    assert answer.json["afresh"] is True
    leases = await fetch(database.admin_url, "SELECT applied FROM token_authority.guard_lease")
    assert [lease["applied"] for lease in leases] == [0]


async def test_one_service_cannot_speak_for_the_guard_of_another(
    authority: Authority,
) -> None:
    secret = (await authority.manage("POST", "/v1/services", {"client_id": "other"})).json["secret"]
    guard = FakeGuard(authority, guard_id="the-guard-of-polls")
    await guard.follow()
    revoking = asyncio.create_task(authority.revoke((await authority.issue())["id"]))
    await asyncio.sleep(0.1)

    foe = FakeGuard(authority, guard_id="the-guard-of-polls")
    assert (await foe.send({"applied": 1}, **basic("other", secret))).status == 200

    assert (await revoking)["guards"] == {"confirmed": 0, "expired": 1}


async def test_use_is_added_up_and_the_last_time_kept(authority: Authority, database: ClonedDatabase) -> None:
    token_id = (await authority.issue())["id"]
    guard = FakeGuard(authority)

    await guard.sync([(token_id, 3, 60_000), ("tok_unknown", 1, 0)])
    await guard.sync([(token_id, 2, 0)])
    await guard.sync([(token_id, 1, 3_600_000)])

    (row,) = await fetch(database.admin_url, "SELECT uses, now() - last_used_at AS ago FROM token_authority.token_use")
    assert row["uses"] == 6
    assert timedelta(0) <= row["ago"] < timedelta(seconds=30)


USE = {"token_id": "x", "secret_id": "y", "uses": 1, "refusals": 0, "last_used_ms_ago": 0}


NO_SYNCS = [
    {},
    {"applied": -1},
    {"applied": "1"},
    {"applied": 2**60},
    {"applied": None, "usage": [{**USE, "uses": -1}]},
    {"applied": None, "usage": [USE] * 501},
    [],
]


async def test_a_sync_that_is_not_one_is_422(authority: Authority, subtests: pytest.Subtests) -> None:
    for body in NO_SYNCS:
        with subtests.test(body=str(body)[:60]):
            assert (await FakeGuard(authority).send(body)).status == 422


async def test_only_a_service_may_sync_or_give_a_lease_back(authority: Authority) -> None:
    path = "/v1/guards/0123456789abcdef"

    for headers in ({}, authority.admin, basic("polls", mint("pgs"))):
        assert (await authority("POST", f"{path}/sync", headers=headers)).status == 401
        assert (await authority("DELETE", path, headers=headers)).status == 401


async def test_a_guards_id_has_a_form(authority: Authority, subtests: pytest.Subtests) -> None:
    for guard_id in ["short", "x" * 65, "0123456789abcde%00"]:
        with subtests.test(guard_id=guard_id):
            assert (await FakeGuard(authority, guard_id).sync()).status == 422


async def _published(database: ClonedDatabase, count: int) -> None:
    query = "SELECT count(*) AS n FROM token_authority.change_log WHERE published_at IS NOT NULL"
    async with asyncio.timeout(5):
        while (await fetch(database.admin_url, query))[0]["n"] < count:
            await asyncio.sleep(0.02)
