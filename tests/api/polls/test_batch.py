"""`POST /v1/polls:batch` returns an outcome for each item, and carries out all or none if it is atomic."""

from typing import Any

import asyncpg
import pytest

from tests.support.databases import ClonedDatabase
from tests.support.postgres import hold_rows
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import LUNCH_OPTIONS, Authority, Polls

pytestmark = pytest.mark.shared_services

UNKNOWN_ID = "ee9107b5-5041-4c15-8c76-f14404fa1fad"


def create(content: str = "PLAT-1", **fields: Any) -> dict[str, Any]:
    """Return an item that creates a poll."""
    return {
        "op": "create",
        "poll": {"template": "stars", "location": {"workspace": "PLAT", "content": content}, **fields},
    }


async def send_batch(polls: Polls, *items: Any, **fields: Any) -> Any:
    """Send a batch of these items and return the body of the response, which has to be 200."""
    answer = await polls.v1("POST", "/polls:batch", {"items": items, **fields})
    assert answer.status == 200, answer.body
    return answer.json


def list_statuses(outcome: Any) -> list[int]:
    """Return the status of each item."""
    return [item["status"] for item in outcome["items"]]


async def test_batch_carries_out_items_in_order_and_returns_outcome_of_each(polls: Polls) -> None:
    edited, closed, deleted = [(await polls.create_poll())["id"] for _ in range(3)]

    done = await send_batch(
        polls,
        create(title="New"),
        {"op": "update", "id": edited, "poll": {"title": "Edited", "options": LUNCH_OPTIONS}},
        {"op": "close", "id": closed},
        {"op": "delete", "id": deleted},
    )

    assert done["committed"]
    assert list_statuses(done) == [201, 200, 200, 204]
    assert [item["op"] for item in done["items"]] == ["create", "update", "close", "delete"]
    created = (await polls.v1("GET", f"/polls/{done['items'][0]['id']}")).json
    assert (created["title"], created) == ("New", done["items"][0]["poll"])
    assert (await polls.v1("GET", f"/polls/{edited}")).json["title"] == "Edited"
    shut = await polls.v1("GET", f"/polls/{closed}")
    assert (shut.json["status"], shut.headers["ETag"]) == ("closed", done["items"][2]["etag"])
    assert (await polls.v1("GET", f"/polls/{deleted}")).status == 404


async def test_failed_item_does_not_affect_the_other_items(polls: Polls) -> None:
    poll = await polls.create_poll()
    await polls.vote(poll["id"], "ada", "y")

    done = await send_batch(
        polls,
        create(title=""),
        create(),
        {"op": "delete", "id": UNKNOWN_ID},
        {"op": "close", "id": "not an id"},
        {"op": "update", "id": poll["id"], "poll": {"title": "x", "options": LUNCH_OPTIONS[1:]}},
        {"op": "update", "id": poll["id"], "poll": {"title": "x", "options": LUNCH_OPTIONS}, "ifMatch": '"9"'},
    )

    assert done["committed"]
    assert list_statuses(done) == [422, 201, 404, 404, 409, 412]
    assert done["items"][0]["problem"]["errors"][0]["pointer"] == "/items/0/poll/title"
    assert "poll" not in done["items"][0]
    assert len((await polls.v1("GET", "/polls")).json["items"]) == 2


async def test_atomic_batch_that_names_poll_twice_returns_422_and_shows_no_results(
    authority: Authority, polls: Polls, subtests: pytest.Subtests
) -> None:
    hidden = {"resultsVisibility": "afterClose", "endDate": "2099-01-01T00:00:00Z", "closePollOnEndDate": True}
    poll = (await polls.create_poll(options=LUNCH_OPTIONS, settings=hidden))["id"]
    for participant in ("ada", "bob"):
        assert (await polls.vote(poll, participant, LUNCH_OPTIONS[0]["id"])).status == 201
    editor = polls.with_token((await authority.issue("polls:read,update:*"))["token"])
    closed = {**hidden, "endDate": "2020-01-01T00:00:00Z"}
    other = [{"id": "other", "title": "Other"}]
    second = {"op": "update", "id": poll.upper(), "poll": {"title": "Lunch?", "options": other, "settings": closed}}
    first: dict[str, dict[str, Any]] = {
        "closes the poll": {"op": "close", "id": poll},
        "drops the votes of an option": {
            "op": "update",
            "id": poll,
            "poll": {"title": "Lunch?", "options": LUNCH_OPTIONS[1:], "settings": hidden},
            "allow": ["dropVotes"],
        },
        "deletes the poll": {"op": "delete", "id": poll},
    }
    for name, item in first.items():
        with subtests.test(name):
            answer = await editor.v1("POST", "/polls:batch", {"items": [item, second], "atomic": True})
            assert (answer.status, [error["pointer"] for error in answer.json["errors"]]) == (422, ["/items/1/id"])
    assert (await polls.v1("GET", f"/polls/{poll}")).json["status"] == "open"


async def test_atomic_batch_with_failed_item_is_rolled_back(polls: Polls) -> None:
    poll = await polls.create_poll()

    failed = await send_batch(polls, create(), {"op": "delete", "id": poll["id"]}, create(title=""), atomic=True)
    left = (await polls.v1("GET", "/polls")).json["items"]
    done = await send_batch(polls, create(), {"op": "delete", "id": poll["id"]}, atomic=True)

    assert (failed["committed"], list_statuses(failed)) == (False, [424, 424, 422])
    assert [each["id"] for each in left] == [poll["id"]]
    assert (done["committed"], list_statuses(done)) == (True, [201, 204])


async def test_item_without_its_scope_returns_403_or_404(polls: Polls, authority: Authority) -> None:
    here, elsewhere = (
        (await polls.create_poll())["id"],
        (await polls.at_place(workspace="OTHER", content="1").create_poll())["id"],
    )
    holder = polls.with_token((await authority.issue("polls:read,update:PLAT", "polls:create:OTHER"))["token"])

    done = await send_batch(
        holder, {"op": "close", "id": here}, {"op": "close", "id": elsewhere}, {"op": "delete", "id": here}, create()
    )

    assert list_statuses(done) == [200, 404, 403, 403]
    assert done["items"][2]["problem"]["type"] == "/docs/problems/insufficient-scope"


async def test_close_of_closed_poll_leaves_end_date_and_etag(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"endDate": "2026-01-01", "closePollOnEndDate": True})

    done = await send_batch(polls, {"op": "close", "id": poll["id"]}, {"op": "close", "id": poll["id"]})

    assert [item["poll"]["settings"]["endDate"] for item in done["items"]] == ["2026-01-01"] * 2
    assert [item["etag"] for item in done["items"]] == [poll["etag"]] * 2


async def test_batch_of_101_items_or_none_returns_422(polls: Polls) -> None:
    item = create(description="What it is about. " * 100)

    done = await send_batch(polls, *[item] * 100)
    too_many = await polls.v1("POST", "/polls:batch", {"items": [create()] * 101})
    none = await polls.v1("POST", "/polls:batch", {"items": []})

    assert list_statuses(done) == [201] * 100
    assert (too_many.status, none.status) == (422, 422)


async def test_item_with_poll_over_64_kib_returns_422(polls: Polls) -> None:
    """The limit of the body of a batch is higher than the limit of a poll."""
    fits = [{"id": str(number), "title": f"{number:03}" + "é" * 252} for number in range(100)]
    too_long = [{"id": str(number), "title": f"{number:03}" + "€" * 252} for number in range(100)]

    done = await send_batch(polls, create(options=fits), create(options=too_long))

    assert list_statuses(done) == [201, 422]
    assert done["items"][1]["problem"]["errors"][0]["pointer"] == "/items/1/poll"
    assert "65536 bytes" in done["items"][1]["problem"]["errors"][0]["detail"]


async def test_unknown_op_returns_422_with_pointer_to_item(polls: Polls) -> None:
    answer = await polls.v1("POST", "/polls:batch", {"items": [create(), {"op": "explode"}]})

    assert answer.status == 422
    assert answer.json["errors"] == [
        {"detail": "expected 'create', 'update', 'close' or 'delete'", "pointer": "/items/1/op"}
    ]


NESTED_UNKNOWN = [
    (create(settings={"x": 1}), "/items/0/poll/settings/x", "allowSelectionOfMultipleOptions, "),
    (create(options=[{"id": "1", "title": "Yes", "x": 1}]), "/items/0/poll/options/0/x", "id, title, order"),
    ({"op": "close", "id": UNKNOWN_ID, "poll": {}}, "/items/0/poll", "op, id, ifMatch"),
    (create(titel="x"), "/items/0/poll/titel", "location, "),
    ({"op": "update", "id": UNKNOWN_ID, "poll": {"titel": "x"}}, "/items/0/poll/titel", "title, "),
    ({"op": "close", "id": UNKNOWN_ID, "dropVotes": True}, "/items/0/dropVotes", "op, id, ifMatch"),
]


async def test_nested_unknown_field_returns_422_with_the_known_ones(polls: Polls, subtests: pytest.Subtests) -> None:
    for item, pointer, known in NESTED_UNKNOWN:
        with subtests.test(pointer):
            answer = await polls.v1("POST", "/polls:batch", {"items": [item]})

            (error,) = answer.json["errors"]
            assert (answer.status, error["pointer"]) == (422, pointer)
            assert error["detail"].startswith(f"unknown field; expected one of: {known}")


async def test_token_in_wrong_field_of_item_is_redacted_in_response_and_database(
    polls: Polls, authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue("polls:create,delete:PLAT")
    misplaced = create()
    misplaced["poll"]["location"]["workspace"] = issued["token"]
    items = [misplaced, {"op": "delete", "id": issued["token"]}, create()]

    answer = await polls.with_token(issued["token"]).v1(
        "POST", "/polls:batch", {"items": items}, {"Idempotency-Key": "once"}
    )
    connection = await asyncpg.connect(database.admin_url)
    stored = await connection.fetchval("SELECT body FROM polls.answer")
    await connection.close()

    assert list_statuses(answer.json) == [403, 404, 201]
    assert "polls:create:[redacted]/PLAT-1" in answer.json["items"][0]["problem"]["detail"]
    assert find_secrets(f"{answer.body!r}{stored!r}") == []


async def test_change_without_permission_does_not_lock_poll(
    polls: Polls, authority: Authority, database: ClonedDatabase
) -> None:
    """A token must not block votes at places where it has no permission."""
    poll = await polls.create_poll()
    elsewhere = polls.with_token((await authority.issue("polls:*:OTHER"))["token"])

    async with hold_rows(database, "polls.poll", waiting=0):
        done = await send_batch(elsewhere, {"op": "close", "id": poll["id"]}, {"op": "delete", "id": poll["id"]})
        alone = await elsewhere.v1("PATCH", f"/polls/{poll['id']}", {"title": "Mine"})

    assert list_statuses(done) == [404, 404]
    assert alone.status == 404
