"""What an edit does to votes: nothing in silence, and never while somebody votes."""

import asyncio
from typing import Any

import pytest

from tests.support.databases import ClonedDatabase
from tests.support.postgres import how_many_wait, rows_held, until_waiting
from tests.support.stack import Polls

pytestmark = pytest.mark.shared_services

OPTIONS = [{"id": letter, "title": letter.upper()} for letter in "abc"]
MANY = {"allowSelectionOfMultipleOptions": True, "allowRevote": True}


async def voted(polls: Polls, **choices: str) -> str:
    """The id of a poll with these ballots, each as the letters of its options."""
    poll_id = str((await polls.make(options=OPTIONS, settings=MANY))["id"])
    for participant, letters in choices.items():
        assert (await polls.vote(poll_id, participant, *letters)).status == 201
    return poll_id


async def counts(polls: Polls, poll_id: str) -> dict[str, int]:
    """The votes of each option."""
    return {option["id"]: option["votes"] for option in (await polls.results(poll_id))["options"]}


async def test_an_edit_that_would_drop_votes_is_refused_and_says_how_many(polls: Polls) -> None:
    poll_id = await voted(polls, ada="ab", bob="b", eve="c")

    refused = await polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS[:1]})

    assert (refused.status, refused.json["type"]) == (409, "/docs/problems/votes-would-be-dropped")
    assert "drop votes: 3" in refused.json["detail"]
    assert [("'b' has 2" in error["detail"], "'c' has 1" in error["detail"]) for error in refused.json["errors"]] == [
        (True, False),
        (False, True),
    ]
    assert await counts(polls, poll_id) == {"a": 1, "b": 2, "c": 1}


async def test_an_edit_that_is_told_to_drops_them_and_says_what_it_has_done(polls: Polls) -> None:
    poll_id = await voted(polls, ada="ab", bob="b", eve="c")

    edited = await polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS[:1]}, dropVotes="true")

    assert edited.status == 200
    assert edited.json["effect"] == {
        "droppedOptions": ["b", "c"],
        "droppedVotes": 3,
        "droppedBallots": 2,
        "anonymizedBallots": 0,
    }
    assert await counts(polls, poll_id) == {"a": 1}
    assert (await polls.results(poll_id))["participants"] == 1
    assert (await polls.v1("GET", f"/polls/{poll_id}/votes/ada")).json["optionIds"] == ["a"]
    assert (await polls.v1("GET", f"/polls/{poll_id}/votes/bob")).status == 404


async def test_options_without_votes_go_without_asking(polls: Polls) -> None:
    poll_id = await voted(polls, ada="a")

    edited = await polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS[:1]})

    assert (edited.status, edited.json["effect"]["droppedOptions"]) == (200, ["b", "c"])


async def test_a_renamed_option_keeps_its_votes_and_a_new_one_has_none(polls: Polls) -> None:
    poll_id = await voted(polls, ada="a", bob="a")
    options: list[dict[str, Any]] = [{"id": "d", "title": "D"}, {**OPTIONS[0], "title": "Another title"}, *OPTIONS[1:]]

    await polls.v1("PATCH", f"/polls/{poll_id}", {"options": options})

    results = (await polls.results(poll_id))["options"]
    assert [(each["title"], each["votes"]) for each in results[:2]] == [("D", 0), ("Another title", 2)]


async def test_an_option_that_comes_back_begins_anew(polls: Polls) -> None:
    poll_id = await voted(polls, ada="b")
    await polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS[:1]}, dropVotes="true")

    await polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS})

    assert await counts(polls, poll_id) == {"a": 0, "b": 0, "c": 0}


async def test_under_the_contract_it_is_400_unless_told_to(polls: Polls) -> None:
    poll_id = await voted(polls, ada="b")
    body = {"title": "Lunch?", "options": OPTIONS[:1]}

    refused = await polls.call("PUT", body, pollId=poll_id)
    dropped = await polls.call("PUT", body, pollId=poll_id, dropVotes="true")

    assert (refused.status, refused.json["type"]) == (400, "/docs/problems/votes-would-be-dropped")
    assert dropped.status == 200
    assert await counts(polls, poll_id) == {"a": 0}


async def test_votes_that_come_later_do_not_overtake_an_edit(polls: Polls, database: ClonedDatabase) -> None:
    """Or it would not be done for as long as people vote."""
    poll_id = await voted(polls)

    async with asyncio.TaskGroup() as tasks, rows_held(database, "polls.tally", waiting=3):
        earlier = tasks.create_task(polls.vote(poll_id, "ada", "a"))
        await until_waiting(database, 1)
        edit = tasks.create_task(polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS[:2]}))
        await until_waiting(database, 2)
        later = tasks.create_task(polls.vote(poll_id, "bob", "c"))

    assert [task.result().status for task in (earlier, edit, later)] == [201, 200, 422]


async def test_who_waits_for_one_poll_leaves_connections_to_the_others(polls: Polls, database: ClonedDatabase) -> None:
    held, other = await voted(polls), await voted(polls)

    async with asyncio.TaskGroup() as tasks, rows_held(database, "polls.poll", waiting=0):
        votes = [tasks.create_task(polls.vote(held, f"voter-{number}", "a")) for number in range(60)]
        await until_waiting(database, 3)
        shown = [await polls.v1("GET", f"/polls/{other}") for _ in range(20)]
        waiting = await how_many_wait(database)

    assert {answer.status for answer in shown} == {200}
    assert waiting <= 3
    assert {vote.result().status for vote in votes} <= {201, 503}


async def test_a_vote_that_is_told_to_have_failed_is_not_counted_later(polls: Polls, database: ClonedDatabase) -> None:
    poll_id = await voted(polls)

    async with rows_held(database, "polls.poll", waiting=0):
        failed = await polls.vote(poll_id, "ada", "a")
    again = await polls.vote(poll_id, "ada", "a")

    assert (failed.status, again.status) == (503, 201)
    assert "being changed by other requests" in failed.json["detail"]


async def test_no_vote_goes_to_an_option_that_is_being_taken_away(polls: Polls) -> None:
    """Whoever votes meanwhile has a ballot that counts, or is told that the option is no more."""
    poll_id = await voted(polls)

    async def take_part(number: int) -> int:
        return (await polls.vote(poll_id, f"voter-{number}", "c")).status

    async def edit(number: int) -> int:
        options = OPTIONS if number % 2 else OPTIONS[:2]
        return (await polls.v1("PATCH", f"/polls/{poll_id}", {"options": options}, dropVotes="true")).status

    voting = [take_part(number) for number in range(60)]
    statuses = await asyncio.gather(*voting, *(edit(number) for number in range(8)))
    last = await polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS[:2]}, dropVotes="true")

    assert set(statuses[:60]) <= {201, 422, 503}
    assert statuses[60:] == [200] * 8
    assert last.status == 200
    assert await counts(polls, poll_id) == {"a": 0, "b": 0}
    assert (await polls.results(poll_id))["participants"] == 0


async def test_of_two_writers_with_the_same_etag_exactly_one_wins(polls: Polls) -> None:
    poll = await polls.make()
    path = f"/polls/{poll['id']}"

    for turn in range(5):
        etag = (await polls.v1("GET", path)).headers["ETag"]
        titles = [f"Writer {number} in turn {turn}" for number in range(6)]
        answers = await asyncio.gather(
            *(polls.v1("PATCH", path, {"title": title}, {"If-Match": etag}) for title in titles)
        )
        won = [title for title, answer in zip(titles, answers, strict=True) if answer.status == 200]
        assert sorted(answer.status for answer in answers) == [200, *[412] * 5]
        assert (await polls.v1("GET", path)).json["title"] == won[0]
