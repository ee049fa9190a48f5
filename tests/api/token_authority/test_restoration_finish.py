"""Finish a restoration: what guards have reported ends, the log starts in a new epoch, and guards start again."""

import asyncio
from typing import Any

import pytest

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.journal import MergedJournals
from services.token_authority.domain.restoration import Choice, Decision, Evidence, Explained, Finished
from services.token_authority.operations import restore
from services.token_authority.storage import restoration as storage
from services.token_authority.storage.audit import audited_transaction
from shared.contract.change import EPOCH_SIZE
from shared.contract.token import digest
from shared.runtime.postgres.database import database as open_database
from tests.support.backups import back_up
from tests.support.databases import ClonedDatabase
from tests.support.guards import FakeGuard
from tests.support.page_client import sign_in
from tests.support.postgres import fetch
from tests.support.stack import Answer, Authority

pytestmark = pytest.mark.own_database

OPERATOR = Actor("operator", "ada")
NO_JOURNAL = MergedJournals((), 0)
LEASE_S = 0.5


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"revocation_lease": LEASE_S}


async def begin(database: ClonedDatabase, expected_seq: int = 0) -> None:
    async with open_database(database.token_authority_url, size=1, statement_cache=0) as opened:
        assert await storage.begin_restoration(opened, Evidence("operator", "restored", expected_seq))


async def finish(database: ClonedDatabase, choice: Choice = "accept-risk") -> Finished | None:
    async with open_database(database.token_authority_url, size=2, statement_cache=0) as opened:
        decision = Decision(choice, OPERATOR, "as a test does")
        done = await restore.finish(opened, decision, journals=NO_JOURNAL, lease_s=LEASE_S)
    assert not isinstance(done, restore.LossesUnknown)
    return None if done is None else done.finished


async def retry(call: Any, *arguments: Any) -> Answer:
    """Repeat a call while the authority reconnects to its database."""
    async with asyncio.timeout(10):
        while True:
            answer: Answer = await call(*arguments)
            if answer.status != 503 or answer.json["type"].endswith("restored"):
                return answer
            await asyncio.sleep(0.05)


async def test_lost_revocation_that_a_guard_reports_ends_its_secret_at_finish(
    authority: Authority, database: ClonedDatabase
) -> None:
    kept, lost = await authority.issue(), await authority.issue()
    async with back_up(database) as backup:
        guard = FakeGuard(authority)
        await retry(guard.sync)
        await authority.revoke(lost["id"], wait="false")
        await guard.follow()
        await backup.restore()
        assert (await retry(guard.sync)).status == 503
        assert (await guard.report(guard.last)).status == 204

    finished = await finish(database)

    assert finished is not None
    assert (list(finished.ended_secrets), finished.reported_changes) == ([lost["id"]], 1)
    assert (await retry(authority.introspect, lost["token"])).json == {"active": False}
    assert (await authority.introspect(kept["token"])).json["active"] is True
    records = (await authority.manage("GET", f"/v1/audit?subject=token:{lost['id']}")).json["items"]
    assert [record["action"] for record in records] == ["token.issue", "token.end_reported_secrets"]


async def test_finish_starts_the_log_in_the_next_epoch_and_guards_start_again(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue()
    guard = FakeGuard(authority)
    await authority.revoke((await authority.issue())["id"], wait="false")
    await guard.follow()
    before, old = guard.applied, guard.last
    await begin(database, expected_seq=7)

    finished = await finish(database)

    assert (before, finished and finished.epoch_seq) == (1, EPOCH_SIZE)
    answer = (await guard.sync()).json
    assert (answer["head"], answer["resync"], answer["changes"]) == (EPOCH_SIZE, True, [])
    guard.applied, guard.last = answer["head"], answer["last"]
    revoking = asyncio.create_task(authority.revoke(issued["id"]))
    while (answer := (await guard.sync()).json)["head"] == EPOCH_SIZE:
        await asyncio.sleep(0.01)
    assert [change["seq"] for change in answer["changes"]] == [EPOCH_SIZE + 1]
    await guard.follow()
    assert (await revoking)["guards"] == {"confirmed": 1, "expired": 0}
    guard.applied, guard.last = before, old
    assert (await guard.sync()).json["resync"] is True
    assert await fetch(database.admin_url, "SELECT FROM token_authority.restoration WHERE finished_at IS NULL") == []


async def test_finish_revokes_every_working_token_if_the_operator_chooses_that(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = [await authority.issue() for _ in range(3)]
    await authority.manage("POST", f"/v1/tokens/{issued[0]['id']}/disable")
    await authority.revoke(issued[1]["id"], wait="false")
    await begin(database)

    finished = await finish(database, "revoke-working-tokens")

    assert finished is not None
    assert finished.revoked_tokens == 2
    for each in issued:
        assert (await authority.introspect(each["token"])).json == {"active": False}
    repeated = await authority.revoke(issued[0]["id"])
    assert (repeated["seq"], repeated["effective"]) == (EPOCH_SIZE, True)
    records = (await authority.manage("GET", "/v1/audit?action=restore.finish")).json["items"]
    assert [(record["actor"], record["actor_id"], record["after"]["choice"]) for record in records] == [
        ("operator", "ada", "revoke-working-tokens")
    ]
    assert (await authority.manage("POST", "/v1/audit/verify")).json["intact"] is True


async def test_finish_waits_for_leases_that_the_database_may_lack(
    database: ClonedDatabase, authority: Authority
) -> None:
    guard = FakeGuard(authority)
    await guard.follow()
    await fetch(database.admin_url, "UPDATE token_authority.guard_lease SET lease_ms = 2000")
    await begin(database)
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert await fetch(database.admin_url, "SELECT FROM token_authority.restoration WHERE finished_at IS NULL")

    async with open_database(database.token_authority_url, size=2, statement_cache=0) as opened:
        decision = Decision("accept-risk", OPERATOR, "as a test does")
        await restore.finish(opened, decision, journals=NO_JOURNAL, lease_s=LEASE_S, sleep=sleep)

    assert slept == [pytest.approx(2.04)]
    assert await fetch(database.admin_url, "SELECT FROM token_authority.guard_lease") == []


async def test_finish_without_a_restoration_does_nothing(authority: Authority, database: ClonedDatabase) -> None:
    await authority.revoke((await authority.issue())["id"], wait="false")

    assert await finish(database) is None

    rows = await fetch(database.admin_url, "SELECT seq FROM token_authority.change_log")
    assert [row["seq"] for row in rows] == [1]


async def test_sessions_of_before_are_over_after_finish(authority: Authority, database: ClonedDatabase) -> None:
    browser = await sign_in(authority, authority.admin_key)
    await begin(database)

    await finish(database)

    assert (await browser.get("/settings/tokens")).location.startswith("/settings/sign-in")


async def test_report_is_kept_only_with_a_valid_receipt_and_if_the_log_lacks_it(
    authority: Authority, database: ClonedDatabase
) -> None:
    guard = FakeGuard(authority)
    await authority.revoke((await authority.issue())["id"], wait="false")
    await guard.follow()
    in_log = guard.last
    async with back_up(database) as backup:
        await retry(guard.sync)
        await authority.revoke((await authority.issue())["id"], wait="false")
        await guard.follow()
        lost = guard.last
        await backup.restore()
        assert (await retry(guard.sync)).status == 503

    for _ in range(2):
        sent = await guard.report(
            in_log, lost, {**lost, "seq": 3}, {**lost, "receipt": ""}, {**lost, "digest": "0" * 64}
        )
        assert sent.status == 204

    rows = await fetch(database.admin_url, "SELECT seq, digest, reported_by FROM token_authority.reported_change")
    assert [(row["seq"], row["digest"].hex(), set(row["reported_by"])) for row in rows] == [
        (2, lost["digest"], {"authority", "polls"})
    ]


async def test_report_without_a_restoration_stores_nothing(authority: Authority, database: ClonedDatabase) -> None:
    guard = FakeGuard(authority)
    await authority.revoke((await authority.issue())["id"], wait="false")
    await guard.follow()

    assert (await guard.report(guard.last)).status == 204

    assert await fetch(database.admin_url, "SELECT FROM token_authority.reported_change") == []


async def test_process_reports_what_it_has_committed_and_no_guard_has_applied(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue()
    async with back_up(database) as backup:
        await retry(authority.introspect, issued["token"])
        await authority.revoke(issued["id"])
        await backup.restore()
        assert (await retry(authority.introspect, issued["token"])).status == 503
        async with asyncio.timeout(5):
            while not await fetch(database.admin_url, "SELECT FROM token_authority.reported_change"):
                await asyncio.sleep(0.02)

    finished = await finish(database)

    assert finished is not None
    assert list(finished.ended_secrets) == [issued["id"]]
    assert (await retry(authority.introspect, issued["token"])).json == {"active": False}


async def test_secret_whose_change_is_explained_is_not_ended(authority: Authority, database: ClonedDatabase) -> None:
    issued = await authority.issue()
    secret = digest(issued["token"])
    await begin(database)
    insert = """
        INSERT INTO token_authority.reported_change (restoration_id, seq, change_id, digest, reported_by)
        SELECT id, 9, gen_random_uuid(), $1, '{polls}' FROM token_authority.restoration
    """
    await fetch(database.admin_url, insert, secret)
    async with (
        open_database(database.token_authority_url, size=2, statement_cache=0) as opened,
        audited_transaction(opened, during_restoration=True) as transaction,
    ):
        await transaction.lock_audit_log()
        restoration = await storage.lock_open_restoration(transaction)
        assert restoration is not None
        explained = Explained(frozenset({secret}), 2 * EPOCH_SIZE, {"records": 1})
        decision = Decision("journal", OPERATOR, "by the journal")
        finished = await restore.complete(transaction, restoration, decision, explained)

    assert (finished.ended_secrets, finished.epoch_seq) == ({}, 3 * EPOCH_SIZE)
    assert (await retry(authority.introspect, issued["token"])).json["active"] is True


async def test_token_whose_only_secret_ended_long_ago_can_be_revoked_also_with_others(
    authority: Authority, database: ClonedDatabase, subtests: pytest.Subtests
) -> None:
    *tokens, working = [await authority.issue() for _ in range(5)]
    await begin(database)
    insert = """
        INSERT INTO token_authority.reported_change (restoration_id, seq, change_id, digest, reported_by)
        SELECT id, $2, gen_random_uuid(), $1, '{polls}' FROM token_authority.restoration
    """
    for number, token in enumerate(tokens, 9):
        await fetch(database.admin_url, insert, digest(token["token"]), number)
    await finish(database)
    await fetch(database.admin_url, "UPDATE token_authority.secret SET ends_at = ends_at - interval '2 days'")
    alone, selected, narrowed, disabled = (f"/v1/tokens/{token['id']}" for token in tokens)

    requests = {
        "revoke": ("POST", f"{alone}/revoke", {"reason": "leaked"}),
        "revoke selected": ("POST", "/v1/tokens/revoke", {"reason": "leaked", "ids": [tokens[1]["id"], working["id"]]}),
        "narrow": ("PATCH", narrowed, {"rate_limit": 5}),
        "disable": ("POST", f"{disabled}/disable", {}),
    }
    for name, request in requests.items():
        with subtests.test(name):
            answer = await authority.manage(*request)
            assert answer.status == 200
    shown = [(await authority.manage("GET", path)).json["status"] for path in (alone, selected)]
    assert shown == ["revoked", "revoked"]
