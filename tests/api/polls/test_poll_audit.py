"""`GET /v1/polls/{id}/audit` shows who has changed a poll: a chain of records that outlives the poll."""

import asyncio
import hashlib
from typing import Any

import asyncpg
import msgspec
import pytest

from services.polls.domain.audit import MAX_CHANGES_PER_DAY
from shared.contract.audit import AuditRecord, BrokenChain, ChainCheck
from tests.support.databases import ClonedDatabase
from tests.support.polls_storage import add_audit_records
from tests.support.postgres import fetch
from tests.support.stack import LUNCH_OPTIONS, Answer, Authority, Polls

pytestmark = pytest.mark.shared_services

KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
STARS = {"template": "stars", "location": {"workspace": "PLAT", "content": "PLAT-1"}}
PAST = {"endDate": "2026-01-01", "closePollOnEndDate": True}


async def read_trail(polls: Polls, poll_id: str) -> list[AuditRecord]:
    """Return the trail of a poll, which has to be intact."""
    answer = await polls.v1("GET", f"/polls/{poll_id}/audit", limit=100)
    assert answer.status == 200, answer.body
    records = msgspec.convert(answer.json["items"], list[AuditRecord])
    ChainCheck().check(records)
    return records


async def patch(polls: Polls, poll_id: str, fields: Any, **query: Any) -> Answer:
    """Send a merge patch of a poll."""
    return await polls.v1("PATCH", f"/polls/{poll_id}", fields, **query)


async def test_trail_has_a_record_of_each_change_with_changed_fields(polls: Polls, authority: Authority) -> None:
    issued = await authority.issue()
    holder = polls.with_token(issued["token"])
    poll_id = (await holder.create_poll(settings={"resultsVisibility": "never", "saveParticipantNames": True}))["id"]
    await holder.vote(poll_id, "ada", "y", name="Ada Lovelace")

    await patch(holder, poll_id, {"title": "Dinner?", "description": "At six"}, allow="changeTitle")
    await patch(holder, poll_id, {"settings": PAST})
    await patch(holder, poll_id, {"settings": {"endDate": "2999-01-01"}}, allow="reopen")
    without = {"options": LUNCH_OPTIONS[1:], "settings": {"saveParticipantNames": False}}
    await patch(holder, poll_id, without, dropVotes="true")
    await holder.v1("DELETE", f"/polls/{poll_id}", headers={"X-Request-ID": "the-last-one"})
    trail = await read_trail(holder, poll_id)

    assert [record.action for record in trail] == [
        "poll.create",
        "poll.change",
        "poll.close",
        "poll.reopen",
        "poll.change",
        "poll.delete",
    ]
    assert {(record.actor, record.actor_id, record.address) for record in trail} == {
        ("token", issued["id"], "127.0.0.1")
    }
    assert {record.subject for record in trail} == {f"poll:PLAT/PLAT-1/{poll_id}"}
    assert trail[-1].request_id == "the-last-one"
    assert (trail[0].before, trail[0].after["title"]) == ({}, "Lunch?")
    assert trail[0].after["location"] == {"workspace": "PLAT", "content": "PLAT-1", "container": ""}
    assert (trail[1].before, trail[1].after) == (
        {"title": "Lunch?", "description": ""},
        {"title": "Dinner?", "description": "At six", "effect": {"consequences": ["changeTitle"]}},
    )
    assert trail[3].before == {"settings": {"endDate": "2026-01-01"}}
    assert trail[3].after == {"settings": {"endDate": "2999-01-01"}, "effect": {"consequences": ["reopen"]}}
    assert trail[4].before["options"] == {"y": {"title": "Yes", "order": 0}, "n": {"order": 1}}
    assert trail[4].after["effect"]["droppedVotes"] == 1
    assert (trail[5].before["title"], trail[5].after) == ("Dinner?", {})


async def test_ballots_and_refused_or_empty_edits_leave_no_record(polls: Polls, database: ClonedDatabase) -> None:
    poll_id = (await polls.create_poll(settings={"allowRevote": True, "saveParticipantNames": True}))["id"]
    await polls.vote(poll_id, "quinn", "y", name="Quinn Lovelace")
    await polls.vote(poll_id, "quinn", "n")
    await polls.v1("DELETE", f"/polls/{poll_id}/votes/quinn")
    await polls.vote(poll_id, "quinn", "y")

    answers = [
        await patch(polls, poll_id, {"title": "Lunch?"}),
        await patch(polls, poll_id, {"title": "Dinner?"}),
        await patch(polls, poll_id, {"title": ""}),
        await polls.v1("DELETE", f"/polls/{poll_id}", headers={"If-Match": '"9"'}),
    ]

    assert [answer.status for answer in answers] == [200, 409, 422, 412]
    assert [record.action for record in await read_trail(polls, poll_id)] == ["poll.create"]
    stored = await fetch(database.admin_url, "SELECT log::text FROM polls.audit_log AS log")
    assert "quinn" not in str(stored).lower()  # no digit of a hash is one of these letters


async def test_contract_batch_and_template_leave_same_records(polls: Polls) -> None:
    contract = (await polls.call("POST", {"title": "Lunch?", "options": LUNCH_OPTIONS})).json["id"]
    await polls.call("PUT", {"title": "Dinner?", "options": LUNCH_OPTIONS}, pollId=contract)
    await polls.call("DELETE", pollId=contract)
    items: list[Any] = [{"op": "create", "poll": STARS}] * 2
    batch = [item["id"] for item in (await polls.v1("POST", "/polls:batch", {"items": items}, KEY)).json["items"]]
    await polls.v1("POST", "/polls:batch", {"items": items}, KEY)
    update = {"op": "update", "id": batch[0], "poll": {"title": "x", "options": LUNCH_OPTIONS}}
    twice = [update, {**update, "poll": {**update["poll"], "title": "y"}}, {"op": "close", "id": batch[0]}]
    await polls.v1("POST", "/polls:batch", {"items": [*twice, {"op": "close", "id": batch[0]}]})
    await polls.v1("POST", "/polls:batch", {"items": [{"op": "delete", "id": batch[1]}]})
    rolled_back = [update, {"op": "delete", "id": batch[1]}]
    await polls.v1("POST", "/polls:batch", {"items": rolled_back, "atomic": True})

    trails = {poll_id: [r.action for r in await read_trail(polls, poll_id)] for poll_id in (contract, *batch)}

    assert trails[contract] == ["poll.create", "poll.change", "poll.delete"]
    assert trails[batch[0]] == ["poll.create", "poll.change", "poll.change", "poll.close"]
    assert trails[batch[1]] == ["poll.create", "poll.delete"]


async def test_repeated_creation_with_key_leaves_one_record(polls: Polls) -> None:
    first, _ = [await polls.v1("POST", "/polls", STARS, KEY) for _ in range(2)]

    assert len(await read_trail(polls, first.json["id"])) == 1


async def test_trail_has_pages(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]
    for number in range(4):
        await patch(polls, poll_id, {"title": f"Lunch {number}?"})

    pages = [page async for page in polls.list_pages(f"/polls/{poll_id}/audit", limit=2)]

    assert [[record["seq"] for record in page["items"]] for page in pages] == [[1, 2], [3, 4], [5]]


async def test_trail_needs_update_also_after_deletion(polls: Polls, authority: Authority) -> None:
    kept, deleted = (await polls.create_poll())["id"], (await polls.create_poll())["id"]
    await polls.v1("DELETE", f"/polls/{deleted}")
    cases = [("polls:update:PLAT", 200), ("polls:read,vote,results:PLAT", 403), ("polls:*:OTHER", 404)]

    for scope, status in cases:
        holder = polls.with_token((await authority.issue(scope))["token"])
        answers = [await holder.v1("GET", f"/polls/{poll_id}/audit") for poll_id in (kept, deleted)]
        assert [answer.status for answer in answers] == [status] * 2, scope
    assert (await polls.v1("GET", "/polls/ee9107b5-5041-4c15-8c76-f14404fa1fad/audit")).status == 404


async def test_poll_without_trail_gets_its_first_record_with_next_edit(polls: Polls, database: ClonedDatabase) -> None:
    poll_id = (await polls.create_poll())["id"]
    await fetch(database.admin_url, "DELETE FROM polls.audit_log")

    empty = await read_trail(polls, poll_id)
    await patch(polls, poll_id, {"title": "Dinner?"})

    assert empty == []
    assert [record.action for record in await read_trail(polls, poll_id)] == ["poll.change"]


async def test_concurrent_edits_leave_one_intact_chain(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]

    answers = await asyncio.gather(*(patch(polls, poll_id, {"title": f"Lunch {n}?"}) for n in range(12)))

    assert {answer.status for answer in answers} == {200}
    assert len(await read_trail(polls, poll_id)) == 13


async def test_changed_record_breaks_chain(polls: Polls, database: ClonedDatabase) -> None:
    poll_id = (await polls.create_poll())["id"]
    await patch(polls, poll_id, {"title": "Dinner?"})
    await fetch(database.admin_url, "UPDATE polls.audit_log SET actor_id = 'tok_other' WHERE seq = 1")

    with pytest.raises(BrokenChain, match="record 1 has been changed"):
        await read_trail(polls, poll_id)


@pytest.mark.parametrize("statement", ["UPDATE polls.audit_log SET action = 'x'", "DELETE FROM polls.audit_log"])
async def test_service_role_cannot_change_records(database: ClonedDatabase, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(database.polls_url, statement)


async def test_long_description_is_recorded_by_beginning_and_hash(polls: Polls) -> None:
    poll_id = (await polls.create_poll(description="a" * 10_000))["id"]
    await patch(polls, poll_id, {"description": "a" * 9_999 + "b"})

    record = (await read_trail(polls, poll_id))[1]

    assert record.before["description"] != record.after["description"]
    assert len(record.after["description"]) < 1_200
    assert hashlib.sha256(b"a" * 9_999 + b"b").hexdigest() in record.after["description"]


async def test_edit_number_1001_of_a_day_returns_429(polls: Polls, database: ClonedDatabase) -> None:
    poll_id = (await polls.create_poll())["id"]
    await add_audit_records(database, MAX_CHANGES_PER_DAY - 2)

    last = await patch(polls, poll_id, {"title": "Dinner?"})
    refused = await patch(polls, poll_id, {"title": "Breakfast?"})
    contract = await polls.call("PUT", {"title": "Breakfast?", "options": LUNCH_OPTIONS}, pollId=poll_id)
    unchanged = await patch(polls, poll_id, {"title": "Dinner?"})
    await age_records(database)
    later = await patch(polls, poll_id, {"title": "Breakfast?"})
    deleted = await polls.v1("DELETE", f"/polls/{poll_id}")

    assert (last.status, refused.status, contract.status, unchanged.status) == (200, 429, 429, 200)
    assert refused.json["type"] == "/docs/problems/too-many-edits"
    assert int(refused.headers["Retry-After"]) > 0
    assert (later.status, deleted.status) == (200, 204)


async def age_records(database: ClonedDatabase) -> None:
    """Make all records a day older."""
    await fetch(database.admin_url, "UPDATE polls.audit_log SET at = at - interval '1 day'")
