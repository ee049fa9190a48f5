"""Guard syncs: changes, leases, confirmations and reported uses."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.token_authority.tasks.retention import Retention
from shared.contract.token import digest, mint
from shared.runtime.postgres.database import database as open_database
from tests.support.databases import ClonedDatabase
from tests.support.guards import FakeGuard
from tests.support.postgres import SLOW_COMMIT_S, fetch, slow_down_commits
from tests.support.stack import Authority, basic_auth


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"revocation_lease": 0.5}


async def _revoke(authority: Authority, count: int = 1) -> list[str]:
    """Issue tokens and revoke them. Return the digests of their secrets."""
    issued = [await authority.issue() for _ in range(count)]
    for token in issued:
        await authority.revoke(token["id"], wait="false")
    return [digest(token["token"]).hex() for token in issued]


async def test_first_sync_resets_guard_at_head(authority: Authority) -> None:
    *_, newest = await _revoke(authority, 3)

    answer = (await FakeGuard(authority).sync()).json

    last = answer.pop("last")
    assert (last["seq"], last["digest"]) == (3, newest)
    assert answer == {
        "head": 3,
        "lease_ms": 500,
        "resync": True,
        "afresh": True,
        "changes": [],
        "issuer": "http://127.0.0.1:8081",
    }


async def test_sync_returns_changes_after_applied_in_order(authority: Authority) -> None:
    guard = FakeGuard(authority)
    digests = await _revoke(authority, 3)
    guard.applied = 1

    answer = (await guard.sync()).json

    assert (answer["head"], answer["afresh"]) == (3, False)
    assert [(change["seq"], change["digest"]) for change in answer["changes"]] == [(2, digests[1]), (3, digests[2])]


async def test_sync_from_before_trimmed_log_resets_guard(authority: Authority, database: ClonedDatabase) -> None:
    await _revoke(authority, 4)
    await _wait_until_published(database, 4)
    late, current = FakeGuard(authority), FakeGuard(authority)
    current.applied = 4
    await current.sync()
    async with open_database(database.token_authority_url, size=1, statement_cache=0) as opened:
        await Retention(opened).delete_old(datetime.now(UTC) + timedelta(hours=8))

    late.applied = 2
    answers = [(await guard.sync()).json for guard in (late, current)]

    assert [(answer["head"], answer["afresh"]) for answer in answers] == [(4, True), (4, False)]
    await _revoke(authority)
    assert (await current.sync()).json["head"] == 5


async def test_changes_unapplied_or_unpublished_are_not_trimmed(authority: Authority, database: ClonedDatabase) -> None:
    await _revoke(authority, 5)
    await _wait_until_published(database, 5)
    await fetch(database.admin_url, "UPDATE token_authority.change_log SET published_at = NULL WHERE seq >= 4")
    guard = FakeGuard(authority)
    guard.applied = 2
    await guard.sync()

    async def trim_and_list() -> list[int]:
        async with open_database(database.token_authority_url, size=1, statement_cache=0) as opened:
            await Retention(opened).delete_old(datetime.now(UTC) + timedelta(hours=8))
        return [row["seq"] for row in await fetch(database.admin_url, "SELECT seq FROM token_authority.change_log")]

    assert min(await trim_and_list()) == 2  # the last one that the guard has applied


@pytest.mark.own_database
async def test_lease_is_stored_before_change_or_includes_it(authority: Authority, database: ClonedDatabase) -> None:
    issued, late = await authority.issue(), FakeGuard(authority)
    await slow_down_commits(database)

    revoking = asyncio.create_task(authority.revoke(issued["id"]))
    await asyncio.sleep(SLOW_COMMIT_S / 2)
    answer = await late.sync()

    assert (answer.json["head"], (await revoking)["guards"]) == (1, {"confirmed": 0, "expired": 0})


async def test_concurrent_syncs_each_get_their_own_response(authority: Authority) -> None:
    guards = [FakeGuard(authority) for _ in range(20)]
    await asyncio.gather(*(guard.follow() for guard in guards[:10]))
    await _revoke(authority, 3)
    guards[0].applied, guards[1].applied, guards[2].applied = 1, 2, 99

    answers = await asyncio.gather(*(guard.sync() for guard in guards))

    lacking = [[change["seq"] for change in answer.json["changes"]] for answer in answers]
    assert lacking == [[2, 3], [3], [], *([[1, 2, 3]] * 7), *([[]] * 10)]
    assert [answer.json["afresh"] for answer in answers] == [False, False, True, *([False] * 7), *([True] * 10)]


async def test_sync_ahead_of_log_resets_guard_and_confirms_nothing(
    authority: Authority, database: ClonedDatabase
) -> None:
    guard = FakeGuard(authority)
    guard.applied = 1000

    answer = await guard.sync()

    assert answer.json["afresh"] is True
    leases = await fetch(database.admin_url, "SELECT applied FROM token_authority.guard_lease")
    assert [lease["applied"] for lease in leases] == [0]


async def test_service_cannot_confirm_for_guard_of_other_service(
    authority: Authority,
) -> None:
    secret = (await authority.manage("POST", "/v1/services", {"client_id": "other"})).json["secret"]
    guard = FakeGuard(authority, guard_id="the-guard-of-polls")
    await guard.follow()
    revoking = asyncio.create_task(authority.revoke((await authority.issue())["id"]))
    await asyncio.sleep(0.1)

    foe = FakeGuard(authority, guard_id="the-guard-of-polls")
    assert (await foe.send({"applied": 1}, **basic_auth("other", secret))).status == 200

    assert (await revoking)["guards"] == {"confirmed": 0, "expired": 1}


async def test_reported_uses_are_added_and_last_use_is_stored(authority: Authority, database: ClonedDatabase) -> None:
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


async def test_sync_with_invalid_body_returns_422(authority: Authority, subtests: pytest.Subtests) -> None:
    for body in NO_SYNCS:
        with subtests.test(body=str(body)[:60]):
            assert (await FakeGuard(authority).send(body)).status == 422


async def test_sync_and_release_without_service_credential_return_401(authority: Authority) -> None:
    path = "/v1/guards/0123456789abcdef"

    for headers in ({}, authority.admin, basic_auth("polls", mint("pgs"))):
        assert (await authority("POST", f"{path}/sync", headers=headers)).status == 401
        assert (await authority("DELETE", path, headers=headers)).status == 401


async def test_invalid_guard_id_returns_422(authority: Authority, subtests: pytest.Subtests) -> None:
    for guard_id in ["short", "x" * 65, "0123456789abcde%00"]:
        with subtests.test(guard_id=guard_id):
            assert (await FakeGuard(authority, guard_id).sync()).status == 422


async def _wait_until_published(database: ClonedDatabase, count: int) -> None:
    query = "SELECT count(*) AS n FROM token_authority.change_log WHERE published_at IS NOT NULL"
    async with asyncio.timeout(5):
        while (await fetch(database.admin_url, query))[0]["n"] < count:
            await asyncio.sleep(0.02)
