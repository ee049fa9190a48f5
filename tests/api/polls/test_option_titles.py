"""Titles of options look different from each other, and options are listed by their order."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.support.body_routes import POLL_ROUTES, create_route, invalid_body_status, poll_with, status_of
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Polls

pytestmark = pytest.mark.shared_services

STAR, STAR_EMOJI = "\u2b50", "\u2b50\ufe0f"
LOOK_ALIKE = [("Yes", "Yes"), ("Yes", "Yes "), ("Yes", "Ye\u200bs"), (STAR, STAR_EMOJI), ("Gr\u00fcn", "Gru\u0308n")]
DIFFERENT = [("Yes", "yes"), ("Yes", "Y es"), ("e", "\u00e9"), (STAR, STAR * 2)]


def options_with(*titles: str) -> list[dict[str, Any]]:
    """Return options with these titles and the ids 1, 2, …"""
    return [{"id": str(number), "title": title, "order": number} for number, title in enumerate(titles, start=1)]


async def test_titles_that_look_the_same_return_422_or_400_with_both_positions(
    polls: Polls, subtests: pytest.Subtests
) -> None:
    for name in POLL_ROUTES:
        route = await create_route(polls, name)
        for first, second in LOOK_ALIKE:
            with subtests.test(name=name, titles=ascii((first, second))):
                options = options_with("Maybe", first, second)

                answer = await route.send(route.wrap(msgspec.json.encode(poll_with(options=options))))

                assert status_of(answer) == invalid_body_status(route)
                problem = answer.json["items"][0]["problem"] if "items" in answer.json else answer.json
                assert problem["errors"][0]["pointer"].endswith("/options/2/title")
                assert "options 2 and 3 look the same" in problem["errors"][0]["detail"]


async def test_titles_that_look_different_return_201(polls: Polls, subtests: pytest.Subtests) -> None:
    for titles in DIFFERENT:
        with subtests.test(titles=ascii(titles)):
            poll = await polls.create_poll(options=options_with(*titles))

            assert [option["title"] for option in poll["options"]] == list(titles)


async def store_options(database: ClonedDatabase, poll_id: str, *titles: str) -> None:
    """Store options with these titles, as an earlier release has accepted them."""
    stored = msgspec.json.encode(options_with(*titles)).decode()
    statement = "UPDATE polls.poll SET options = $2 WHERE id = $1"
    await fetch(database.admin_url, statement, UUID(poll_id), stored)


async def test_poll_that_was_stored_with_equal_titles_can_be_edited_in_other_respects(
    polls: Polls, database: ClonedDatabase
) -> None:
    poll_id = (await polls.create_poll(options=options_with("a", "b", "c")))["id"]
    await store_options(database, poll_id, "Yes", "Yes ", "line\u0007")
    path = f"/polls/{poll_id}"
    poll = (await polls.v1("GET", path)).json

    renamed = await polls.v1("PUT", path, {**poll, "title": "Dinner?"})
    closed = await polls.v1("POST", "/polls:batch", {"items": [{"op": "close", "id": poll_id}]})
    fixed = await polls.v1("PATCH", path, {"options": [{**poll["options"][0], "title": "No"}, *poll["options"][1:]]})
    again = await polls.v1("PATCH", path, {"options": poll["options"]})

    assert [answer.status for answer in (renamed, closed, fixed, again)] == [200, 200, 200, 422]
    assert renamed.json["options"] == poll["options"]
    assert closed.json["items"][0]["status"] == 200
    assert again.json["errors"][0]["pointer"] == "/options/1/title"


async def test_options_are_listed_by_order_then_as_sent(polls: Polls) -> None:
    orders = {"a": 2, "b": -1, "c": 2, "d": 0}
    options = [{"id": name, "title": name, "order": order} for name, order in orders.items()]

    poll = await polls.create_poll(options=options)
    shown = await polls.v1("GET", f"/polls/{poll['id']}", expand="results")
    contract = await polls.call("GET")
    patched = await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"})

    listed = (poll, shown.json, shown.json["results"], contract.json[0], patched.json)
    assert [[option["id"] for option in each["options"]] for each in listed] == [["b", "d", "a", "c"]] * 5


async def test_average_is_the_same_with_and_without_presentation_selectors(
    polls: Polls, subtests: pytest.Subtests
) -> None:
    heart, heart_emoji = "\u2764", "\u2764\ufe0f"
    for titles in ((STAR, STAR * 2), (STAR_EMOJI, STAR_EMOJI * 2), (heart, heart * 2), (heart_emoji, heart_emoji * 2)):
        with subtests.test(titles=ascii(titles)):
            poll = await polls.create_poll(options=options_with(*titles))
            await polls.vote(poll["id"], "ada", "1")
            await polls.vote(poll["id"], "bob", "2")

            assert (await polls.get_results(poll["id"]))["average"] == 1.5


async def test_equal_votes_have_equal_percentages(polls: Polls) -> None:
    poll = await polls.create_poll(options=options_with("a", "b", "c"))
    for number in "123":
        await polls.vote(poll["id"], f"voter {number}", number)

    results = await polls.get_results(poll["id"])
    contract = (await polls.call("GET", expand="results")).json[0]["results"]

    for shown in (results, contract):
        assert [option["percentage"] for option in shown["options"]] == [33.3] * 3
