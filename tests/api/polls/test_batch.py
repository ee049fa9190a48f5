"""`POST /v1/polls:batch`: an outcome for each item, or all or nothing."""

from typing import Any

import asyncpg
import pytest

from tests.support.databases import ClonedDatabase
from tests.support.postgres import rows_held
from tests.support.secrets_in_output import secrets_in
from tests.support.stack import LUNCH_OPTIONS, Authority, Polls

pytestmark = pytest.mark.shared_services

NOBODYS_ID = "ee9107b5-5041-4c15-8c76-f14404fa1fad"


def create(content: str = "PLAT-1", **fields: Any) -> dict[str, Any]:
    """An item that makes a poll."""
    return {
        "op": "create",
        "poll": {"template": "stars", "location": {"workspace": "PLAT", "content": content}, **fields},
    }


async def batch(polls: Polls, *items: Any, **fields: Any) -> Any:
    """The 200 answer for these items."""
    answer = await polls.v1("POST", "/polls:batch", {"items": items, **fields})
    assert answer.status == 200, answer.body
    return answer.json


def statuses(outcome: Any) -> list[int]:
    """The status of each item."""
    return [item["status"] for item in outcome["items"]]


async def test_items_are_done_in_turn_each_with_its_outcome(polls: Polls) -> None:
    edited, closed, deleted = [(await polls.make())["id"] for _ in range(3)]

    done = await batch(
        polls,
        create(title="New"),
        {"op": "update", "id": edited, "poll": {"title": "Edited", "options": LUNCH_OPTIONS}},
        {"op": "close", "id": closed},
        {"op": "delete", "id": deleted},
    )

    assert done["committed"]
    assert statuses(done) == [201, 200, 200, 204]
    assert [item["op"] for item in done["items"]] == ["create", "update", "close", "delete"]
    created = (await polls.v1("GET", f"/polls/{done['items'][0]['id']}")).json
    assert (created["title"], created) == ("New", done["items"][0]["poll"])
    assert (await polls.v1("GET", f"/polls/{edited}")).json["title"] == "Edited"
    shut = await polls.v1("GET", f"/polls/{closed}")
    assert (shut.json["status"], shut.headers["ETag"]) == ("closed", done["items"][2]["etag"])
    assert (await polls.v1("GET", f"/polls/{deleted}")).status == 404


async def test_what_fails_leaves_the_others_alone(polls: Polls) -> None:
    poll = await polls.make()
    await polls.vote(poll["id"], "ada", "y")

    done = await batch(
        polls,
        create(title=""),
        create(),
        {"op": "delete", "id": NOBODYS_ID},
        {"op": "close", "id": "not an id"},
        {"op": "update", "id": poll["id"], "poll": {"title": "x", "options": LUNCH_OPTIONS[1:]}},
        {"op": "update", "id": poll["id"], "poll": {"title": "x", "options": LUNCH_OPTIONS}, "ifMatch": '"9"'},
    )

    assert done["committed"]
    assert statuses(done) == [422, 201, 404, 404, 409, 412]
    assert done["items"][0]["problem"]["errors"][0]["pointer"] == "/items/0/poll/title"
    assert "poll" not in done["items"][0]
    assert len((await polls.v1("GET", "/polls")).json["items"]) == 2


async def test_an_atomic_batch_is_done_as_a_whole(polls: Polls) -> None:
    poll = await polls.make()

    failed = await batch(polls, create(), {"op": "delete", "id": poll["id"]}, create(title=""), atomic=True)
    left = (await polls.v1("GET", "/polls")).json["items"]
    done = await batch(polls, create(), {"op": "delete", "id": poll["id"]}, atomic=True)

    assert (failed["committed"], statuses(failed)) == (False, [424, 424, 422])
    assert [each["id"] for each in left] == [poll["id"]]
    assert (done["committed"], statuses(done)) == (True, [201, 204])


async def test_each_item_needs_its_own_scope(polls: Polls, authority: Authority) -> None:
    here, elsewhere = (await polls.make())["id"], (await polls.at(workspace="OTHER", content="1").make())["id"]
    holder = polls.holding((await authority.issue("polls:read,update:PLAT", "polls:create:OTHER"))["token"])

    done = await batch(
        holder, {"op": "close", "id": here}, {"op": "close", "id": elsewhere}, {"op": "delete", "id": here}, create()
    )

    assert statuses(done) == [200, 404, 403, 403]
    assert done["items"][2]["problem"]["type"] == "/docs/problems/insufficient-scope"


async def test_closing_what_is_closed_changes_nothing(polls: Polls) -> None:
    poll = await polls.make(settings={"endDate": "2026-01-01", "closePollOnEndDate": True})

    done = await batch(polls, {"op": "close", "id": poll["id"]}, {"op": "close", "id": poll["id"]})

    assert [item["poll"]["settings"]["endDate"] for item in done["items"]] == ["2026-01-01"] * 2
    assert [item["etag"] for item in done["items"]] == [poll["etag"]] * 2


async def test_a_hundred_polls_are_made_in_one_request_and_no_more(polls: Polls) -> None:
    item = create(description="What it is about. " * 100)

    done = await batch(polls, *[item] * 100)
    too_many = await polls.v1("POST", "/polls:batch", {"items": [create()] * 101})
    none = await polls.v1("POST", "/polls:batch", {"items": []})

    assert statuses(done) == [201] * 100
    assert (too_many.status, none.status) == (422, 422)


async def test_a_poll_is_no_longer_than_a_request_of_its_own_could_make_it(polls: Polls) -> None:
    """A batch's body may be longer."""
    fits = [{"id": str(number), "title": "é" * 255} for number in range(100)]
    too_long = [{"id": str(number), "title": "€" * 255} for number in range(100)]

    done = await batch(polls, create(options=fits), create(options=too_long))

    assert statuses(done) == [201, 422]
    assert done["items"][1]["problem"]["errors"][0]["pointer"] == "/items/1/poll"
    assert "65536 bytes" in done["items"][1]["problem"]["errors"][0]["detail"]


async def test_an_item_that_cannot_be_read_is_named(polls: Polls) -> None:
    answer = await polls.v1("POST", "/polls:batch", {"items": [create(), {"op": "explode"}]})

    assert answer.status == 422
    assert answer.json["errors"] == [
        {"detail": "expected 'create', 'update', 'close' or 'delete'", "pointer": "/items/1/op"}
    ]


async def test_a_secret_in_the_wrong_place_is_neither_told_again_nor_kept(
    polls: Polls, authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue("polls:create,delete:PLAT")
    astray = create()
    astray["poll"]["location"]["workspace"] = issued["token"]
    items = [astray, {"op": "delete", "id": issued["token"]}]

    answer = await polls.holding(issued["token"]).v1(
        "POST", "/polls:batch", {"items": items}, {"Idempotency-Key": "once"}
    )
    connection = await asyncpg.connect(database.admin_url)
    kept = await connection.fetchval("SELECT body FROM polls.answer")
    await connection.close()

    assert statuses(answer.json) == [403, 404]
    assert "polls:create:[redacted]/PLAT-1" in answer.json["items"][0]["problem"]["detail"]
    assert secrets_in(f"{answer.body!r}{kept!r}") == []


async def test_whoever_may_not_change_a_poll_does_not_lock_it(
    polls: Polls, authority: Authority, database: ClonedDatabase
) -> None:
    """Or a token would keep others from voting at places that it does not reach."""
    poll = await polls.make()
    elsewhere = polls.holding((await authority.issue("polls:*:OTHER"))["token"])

    async with rows_held(database, "polls.poll", waiting=0):
        done = await batch(elsewhere, {"op": "close", "id": poll["id"]}, {"op": "delete", "id": poll["id"]})
        alone = await elsewhere.v1("PATCH", f"/polls/{poll['id']}", {"title": "Mine"})

    assert statuses(done) == [404, 404]
    assert alone.status == 404
