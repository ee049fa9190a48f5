"""Edits drop votes only with `dropVotes`, and concurrent edits and votes do not corrupt the counts."""

import asyncio
from typing import Any

import pytest

from tests.support.databases import ClonedDatabase
from tests.support.postgres import count_blocked, hold_rows, wait_for_blocked
from tests.support.stack import Polls

pytestmark = pytest.mark.shared_services

OPTIONS = [{"id": letter, "title": letter.upper()} for letter in "abc"]
MANY = {"allowSelectionOfMultipleOptions": True, "allowRevote": True, "saveParticipantNames": True}


async def poll_with_ballots(polls: Polls, **choices: str) -> str:
    """Create a poll with a ballot of each participant, given by the ids of its options, and return the poll's id."""
    poll_id = str((await polls.create_poll(options=OPTIONS, settings=MANY))["id"])
    for participant, letters in choices.items():
        assert (await polls.vote(poll_id, participant, *letters)).status == 201
    return poll_id


async def counts(polls: Polls, poll_id: str) -> dict[str, int]:
    """Return the number of votes of each option."""
    return {option["id"]: option["votes"] for option in (await polls.get_results(poll_id))["options"]}


async def test_edit_that_would_drop_votes_returns_409_with_their_number(polls: Polls) -> None:
    poll_id = await poll_with_ballots(polls, ada="ab", bob="b", eve="c")

    refused = await polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS[:1]})

    assert (refused.status, refused.json["type"]) == (409, "/docs/problems/votes-would-be-dropped")
    assert "drop votes: 3" in refused.json["detail"]
    assert [("'b' has 2" in error["detail"], "'c' has 1" in error["detail"]) for error in refused.json["errors"]] == [
        (True, False),
        (False, True),
    ]
    assert await counts(polls, poll_id) == {"a": 1, "b": 2, "c": 1}


async def test_edit_with_drop_votes_returns_200_with_its_effect(polls: Polls) -> None:
    poll_id = await poll_with_ballots(polls, ada="ab", bob="b", eve="c")

    edited = await polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS[:1]}, dropVotes="true")

    assert edited.status == 200
    assert edited.json["effect"] == {
        "droppedOptions": ["b", "c"],
        "droppedVotes": 3,
        "droppedBallots": 2,
        "anonymizedBallots": 0,
        "consequences": ["dropVotes"],
    }
    assert await counts(polls, poll_id) == {"a": 1}
    assert (await polls.get_results(poll_id))["participants"] == 1
    assert (await polls.v1("GET", f"/polls/{poll_id}/votes/ada")).json["optionIds"] == ["a"]
    assert (await polls.v1("GET", f"/polls/{poll_id}/votes/bob")).status == 404


async def test_edit_that_removes_options_without_votes_returns_200(polls: Polls) -> None:
    poll_id = await poll_with_ballots(polls, ada="a")

    edited = await polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS[:1]})

    assert (edited.status, edited.json["effect"]["droppedOptions"]) == (200, ["b", "c"])


async def test_option_with_new_title_keeps_votes_and_new_option_has_none(polls: Polls) -> None:
    poll_id = await poll_with_ballots(polls, ada="a", bob="a")
    options: list[dict[str, Any]] = [{"id": "d", "title": "D"}, {**OPTIONS[0], "title": "Another title"}, *OPTIONS[1:]]

    await polls.v1("PATCH", f"/polls/{poll_id}", {"options": options}, allow="renameOptions")

    results = (await polls.get_results(poll_id))["options"]
    assert [(each["title"], each["votes"]) for each in results[:2]] == [("D", 0), ("Another title", 2)]


async def test_option_added_again_after_drop_has_no_votes(polls: Polls) -> None:
    poll_id = await poll_with_ballots(polls, ada="b")
    await polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS[:1]}, dropVotes="true")

    await polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS})

    assert await counts(polls, poll_id) == {"a": 0, "b": 0, "c": 0}


async def test_contract_put_that_would_drop_votes_returns_400_without_drop_votes(polls: Polls) -> None:
    poll_id = await poll_with_ballots(polls, ada="b")
    body = {"title": "Lunch?", "options": OPTIONS[:1]}

    refused = await polls.call("PUT", body, pollId=poll_id)
    dropped = await polls.call("PUT", body, pollId=poll_id, dropVotes="true")

    assert (refused.status, refused.json["type"]) == (400, "/docs/problems/votes-would-be-dropped")
    assert dropped.status == 200
    assert await counts(polls, poll_id) == {"a": 0}


async def test_vote_sent_after_edit_is_carried_out_after_edit(polls: Polls, database: ClonedDatabase) -> None:
    """If votes overtook edits, an edit would wait as long as participants vote."""
    poll_id = await poll_with_ballots(polls)

    async with asyncio.TaskGroup() as tasks, hold_rows(database, "polls.tally", waiting=2):
        earlier = tasks.create_task(polls.vote(poll_id, "ada", "a"))
        await wait_for_blocked(database, 1)
        edit = tasks.create_task(polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS[:2]}))
        await wait_for_blocked(database, 2)
        later = tasks.create_task(polls.vote(poll_id, "bob", "c"))

    assert [task.result().status for task in (earlier, edit, later)] == [201, 200, 422]


async def test_votes_waiting_for_one_poll_take_one_connection(polls: Polls, database: ClonedDatabase) -> None:
    held, other = await poll_with_ballots(polls), await poll_with_ballots(polls)

    async with asyncio.TaskGroup() as tasks, hold_rows(database, "polls.poll", waiting=0):
        votes = [tasks.create_task(polls.vote(held, f"voter-{number}", "a")) for number in range(60)]
        await wait_for_blocked(database, 1)
        shown = [await polls.v1("GET", f"/polls/{other}") for _ in range(20)]
        waiting = await count_blocked(database)

    assert {answer.status for answer in shown} == {200}
    assert waiting == 1
    assert {vote.result().status for vote in votes} <= {201, 503}


async def test_vote_that_returned_503_is_not_counted_later(polls: Polls, database: ClonedDatabase) -> None:
    poll_id = await poll_with_ballots(polls)

    async with hold_rows(database, "polls.poll", waiting=0):
        failed = await polls.vote(poll_id, "ada", "a")
    again = await polls.vote(poll_id, "ada", "a")

    assert (failed.status, again.status) == (503, 201)
    assert "being changed by other requests" in failed.json["detail"]


async def test_concurrent_votes_for_removed_option_are_not_counted(polls: Polls) -> None:
    """A vote during the edit is counted and later dropped, or returns 422 because the option does not exist."""
    poll_id = await poll_with_ballots(polls)

    async def vote(number: int) -> int:
        return (await polls.vote(poll_id, f"voter-{number}", "c")).status

    async def edit(number: int) -> int:
        options = OPTIONS if number % 2 else OPTIONS[:2]
        return (await polls.v1("PATCH", f"/polls/{poll_id}", {"options": options}, dropVotes="true")).status

    voting = [vote(number) for number in range(60)]
    statuses = await asyncio.gather(*voting, *(edit(number) for number in range(8)))
    last = await polls.v1("PATCH", f"/polls/{poll_id}", {"options": OPTIONS[:2]}, dropVotes="true")

    assert set(statuses[:60]) <= {201, 422, 503}
    assert statuses[60:] == [200] * 8
    assert last.status == 200
    assert await counts(polls, poll_id) == {"a": 0, "b": 0}
    assert (await polls.get_results(poll_id))["participants"] == 0


async def test_concurrent_edits_with_same_etag_return_200_once_and_412(polls: Polls) -> None:
    poll = await polls.create_poll()
    path = f"/polls/{poll['id']}"

    for turn in range(5):
        etag = (await polls.v1("GET", path)).headers["ETag"]
        titles = [f"Writer {number} in turn {turn}" for number in range(6)]
        answers = await asyncio.gather(
            *(polls.v1("PATCH", path, {"title": title}, {"If-Match": etag}) for title in titles)
        )
        succeeded = [title for title, answer in zip(titles, answers, strict=True) if answer.status == 200]
        assert sorted(answer.status for answer in answers) == [200, *[412] * 5]
        assert (await polls.v1("GET", path)).json["title"] == succeeded[0]
