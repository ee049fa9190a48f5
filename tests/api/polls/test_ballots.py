"""Ballots are cast, replaced, withdrawn and listed as the settings of the poll allow, and are counted exactly."""

import asyncio
import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from collections import Counter
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from shared.runtime.crypto.encryption import read_secret
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import PARTICIPANT_KEY, Authority, Polls

pytestmark = pytest.mark.shared_services

OPTIONS = [{"id": letter, "title": letter.upper()} for letter in "abc"]
ENDED = {"endDate": "2026-01-01", "closePollOnEndDate": True}


async def create_poll(polls: Polls, **settings: Any) -> str:
    """Create a poll with three options and these settings, and return its id."""
    return str((await polls.create_poll(options=OPTIONS, settings=settings))["id"])


async def counts(polls: Polls, poll_id: str) -> dict[str, int]:
    """Return the number of votes of each option."""
    return {option["id"]: option["votes"] for option in (await polls.get_results(poll_id))["options"]}


async def test_cast_ballot_returns_201_and_is_shown(polls: Polls) -> None:
    poll_id = await create_poll(polls, saveParticipantNames=True, allowComment=True)

    cast = await polls.vote(poll_id, "ada", "b", name="Ada Lovelace", comment="After lunch")
    shown = await polls.v1("GET", f"/polls/{poll_id}/votes/ada")

    assert cast.status == 201
    assert {**cast.json, "castAt": "…"} == {
        "participant": "ada",
        "optionIds": ["b"],
        "name": "Ada Lovelace",
        "comment": "After lunch",
        "castAt": "…",
    }
    assert (shown.status, shown.json) == (200, cast.json)
    assert await counts(polls, poll_id) == {"a": 0, "b": 1, "c": 0}


async def test_ballot_without_names_is_shown_without_choice_to_every_token(
    polls: Polls, authority: Authority, subtests: pytest.Subtests
) -> None:
    future = {"endDate": "2999-01-01", "closePollOnEndDate": True}
    for settings in ({}, {"resultsVisibility": "never"}, {"resultsVisibility": "afterClose", **future}):
        poll_id = await create_poll(polls, allowComment=True, allowRevote=True, **settings)
        await polls.vote(poll_id, "ada", "b", name="Ada", comment="After lunch")
        for scope in ("polls:vote:*", "polls:*:*"):
            with subtests.test(scope=scope, **settings):
                holder = polls.with_token((await authority.issue(scope))["token"])

                shown = await holder.v1("GET", f"/polls/{poll_id}/votes/ada")
                missing = await holder.v1("GET", f"/polls/{poll_id}/votes/bob")

                nothing = {"optionIds": None, "name": None, "comment": None, "castAt": None}
                assert (shown.status, shown.json) == (200, {"participant": "ada", **nothing})
                assert "ETag" not in shown.headers
                assert missing.status == 404


async def test_ballot_without_names_stays_secret_after_poll_keeps_names(polls: Polls) -> None:
    poll_id = await create_poll(polls, allowComment=True)
    await polls.vote(poll_id, "ada", "b", comment="After lunch")

    kept = await polls.v1("PATCH", f"/polls/{poll_id}", {"settings": {"saveParticipantNames": True}}, allow="saveNames")
    shown = await polls.v1("GET", f"/polls/{poll_id}/votes/ada")

    assert kept.status == 200
    assert (shown.json["optionIds"], shown.json["comment"]) == (None, None)


async def test_ballot_with_erased_names_is_shown_without_choice(polls: Polls) -> None:
    poll_id = await create_poll(polls, saveParticipantNames=True)
    await polls.vote(poll_id, "ada", "b", name="Ada")

    await polls.v1("PATCH", f"/polls/{poll_id}", {"settings": {"saveParticipantNames": False}})
    shown = await polls.v1("GET", f"/polls/{poll_id}/votes/ada")

    assert (shown.json["optionIds"], shown.json["castAt"]) == (None, None)


async def test_refused_second_ballot_without_names_does_not_repeat_the_first(polls: Polls) -> None:
    poll_id = await create_poll(polls, allowComment=True)
    await polls.vote(poll_id, "ada", "b", comment="After lunch")

    answers = [await polls.vote(poll_id, "ada", letter) for letter in "abc"]

    assert [answer.status for answer in answers] == [409] * 3
    assert len({answer.json["detail"] for answer in answers}) == 1
    assert not any("After lunch" in str(answer.body) for answer in answers)


async def test_second_ballot_with_allow_revote_returns_200_and_replaces_the_first(polls: Polls) -> None:
    poll_id = await create_poll(polls, allowRevote=True)

    first, second = await polls.vote(poll_id, "ada", "a"), await polls.vote(poll_id, "ada", "b")

    assert (first.status, second.status) == (201, 200)
    assert await counts(polls, poll_id) == {"a": 0, "b": 1, "c": 0}
    assert (await polls.get_results(poll_id))["participants"] == 1


@pytest.mark.parametrize("second", ["a", "b"])
async def test_second_ballot_without_allow_revote_returns_409(polls: Polls, second: str) -> None:
    poll_id = await create_poll(polls)
    await polls.vote(poll_id, "ada", "a")

    refused = await polls.vote(poll_id, "ada", second)

    assert (refused.status, refused.json["type"]) == (409, "/docs/problems/already-voted")
    assert await counts(polls, poll_id) == {"a": 1, "b": 0, "c": 0}


async def test_withdrawn_ballot_with_allow_revote_does_not_count_and_can_be_cast_again(polls: Polls) -> None:
    poll_id = await create_poll(polls, allowRevote=True)
    await polls.vote(poll_id, "ada", "a")

    withdrawn = await polls.v1("DELETE", f"/polls/{poll_id}/votes/ada")
    shown = await polls.v1("GET", f"/polls/{poll_id}/votes/ada")
    again = await polls.vote(poll_id, "ada", "c")

    assert (withdrawn.status, shown.status, again.status) == (204, 404, 201)
    assert await counts(polls, poll_id) == {"a": 0, "b": 0, "c": 1}


async def test_vote_after_withdrawal_without_allow_revote_returns_409(polls: Polls) -> None:
    poll_id = await create_poll(polls)
    await polls.vote(poll_id, "ada", "a")

    withdrawn = await polls.v1("DELETE", f"/polls/{poll_id}/votes/ada")
    twice = await polls.v1("DELETE", f"/polls/{poll_id}/votes/ada")
    shown = await polls.v1("GET", f"/polls/{poll_id}/votes/ada")
    again = await polls.vote(poll_id, "ada", "b")

    assert (withdrawn.status, twice.status, shown.status, again.status) == (204, 404, 404, 409)
    assert (await polls.get_results(poll_id))["participants"] == 0


async def test_ballot_with_two_options_returns_422_unless_poll_allows_several(polls: Polls) -> None:
    one, many = await create_poll(polls), await create_poll(polls, allowSelectionOfMultipleOptions=True)

    refused, accepted = await polls.vote(one, "ada", "a", "b"), await polls.vote(many, "ada", "c", "a")

    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/optionIds")
    assert (accepted.status, accepted.json["optionIds"]) == (201, ["c", "a"])
    results = await polls.get_results(many)
    assert (results["participants"], results["votes"]) == (1, 2)
    assert [option["participantPercentage"] for option in results["options"]] == [100.0, 0.0, 100.0]


INVALID_BALLOTS = [
    ({"optionIds": []}, "/optionIds"),
    ({"optionIds": ["d"]}, "/optionIds/0"),
    ({"optionIds": ["a", "a"]}, "/optionIds/0"),
    ({"optionIds": "a"}, "/optionIds"),
    ({"optionIds": [1]}, "/optionIds/0"),
    ({"options": ["a"]}, "/optionIds"),
    ({"optionIds": ["a"], "name": ""}, "/name"),
    ({"optionIds": ["a"], "name": "x" * 256}, "/name"),
    ({"optionIds": ["a"], "name": "\0"}, "/name"),
    ({"optionIds": ["a"], "comment": "x" * 2001}, "/comment"),
]


async def test_invalid_ballot_returns_422_with_pointer(polls: Polls, subtests: pytest.Subtests) -> None:
    for body, pointer in INVALID_BALLOTS:
        with subtests.test(pointer, body=str(body)[:60]):
            poll_id = await create_poll(polls, allowComment=True, allowSelectionOfMultipleOptions=True)

            answer = await polls.v1("PUT", f"/polls/{poll_id}/votes/ada", body)

            assert answer.status == 422
            assert pointer in [error["pointer"] for error in answer.json["errors"]]


async def test_comment_in_poll_without_comments_returns_422(polls: Polls) -> None:
    poll_id = await create_poll(polls)

    answer = await polls.vote(poll_id, "ada", "a", comment="After lunch")

    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/comment")
    assert (await polls.v1("GET", f"/polls/{poll_id}/votes/ada")).status == 404


async def test_vote_or_withdrawal_in_closed_poll_returns_409(polls: Polls) -> None:
    poll_id = await create_poll(polls, allowRevote=True)
    await polls.vote(poll_id, "ada", "a")
    await polls.v1("PATCH", f"/polls/{poll_id}", {"settings": ENDED})

    answers = [
        await polls.vote(poll_id, "ada", "b"),
        await polls.vote(poll_id, "bob", "b"),
        await polls.v1("DELETE", f"/polls/{poll_id}/votes/ada"),
    ]

    assert [(answer.status, answer.json["type"]) for answer in answers] == [(409, "/docs/problems/poll-closed")] * 3
    assert (await polls.get_results(poll_id))["final"]
    assert await counts(polls, poll_id) == {"a": 1, "b": 0, "c": 0}


async def test_vote_in_reopened_poll_returns_201(polls: Polls) -> None:
    poll_id = await create_poll(polls, **ENDED)
    await polls.v1("PATCH", f"/polls/{poll_id}", {"settings": {"endDate": None, "closePollOnEndDate": None}})

    assert (await polls.vote(poll_id, "ada", "a")).status == 201


async def test_vote_with_unusual_participant_id_returns_201(polls: Polls, subtests: pytest.Subtests) -> None:
    for participant in ["a/b", "..", "%2F", "ада", "😀", "a b", "a" * 255, "?x=1#y", "\u202e", "{a}", "A%00B"]:
        with subtests.test(participant=participant[:20]):
            poll_id = await create_poll(polls)

            cast = await polls.vote(poll_id, participant, "a")

            assert (cast.status, cast.json["participant"]) == (201, participant)


async def test_invalid_participant_id_returns_400(polls: Polls, subtests: pytest.Subtests) -> None:
    blanks = ["%20", "ada%20", "%C2%A0ada", "ada%0A"]
    for segment in ["%FF", "%00", "a%00", "%zz", "%", "a" * 256, "%ED%A0%80", "a%07", *blanks]:
        with subtests.test(segment=segment[:20]):
            poll_id = await create_poll(polls)

            answer = await polls.v1("PUT", f"/polls/{poll_id}/votes/{segment}", {"optionIds": ["a"]})

            assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "participant")


async def test_participant_ids_that_look_alike_are_different_participants(polls: Polls) -> None:
    poll_id = await create_poll(polls)

    statuses = [(await polls.vote(poll_id, who, "a")).status for who in ("ada", "Ada", "\uff41da", "e", "\u00e9")]

    assert statuses == [201] * 5


async def test_participant_in_nfc_and_nfd_is_one_participant(polls: Polls) -> None:
    poll_id = await create_poll(polls, allowRevote=True, saveParticipantNames=True)
    composed, decomposed = "jürgen@x.example", "ju\u0308rgen@x.example"

    cast = [await polls.vote(poll_id, who, option) for who, option in ((decomposed, "a"), (composed, "b"))]
    shown = await polls.v1("GET", f"/polls/{poll_id}/votes/{quote(decomposed)}")

    assert [(answer.status, answer.json["participant"]) for answer in cast] == [(201, composed), (200, composed)]
    assert shown.json["optionIds"] == ["b"]
    assert await counts(polls, poll_id) == {"a": 0, "b": 1, "c": 0}


async def test_ballot_stored_under_decomposed_id_is_found_and_replaced(polls: Polls, database: ClonedDatabase) -> None:
    poll_id = await create_poll(polls, allowRevote=True)
    key = read_secret("PARTICIPANT_KEY", PARTICIPANT_KEY)
    decomposed = UUID(poll_id).bytes + "ju\u0308rgen".encode()
    earlier = hmac.new(key, decomposed, hashlib.sha256).digest()
    insertion = "INSERT INTO polls.ballot (poll_id, participant_hash, option_ids) VALUES ($1, $2, '{a}')"
    await fetch(database.admin_url, insertion, UUID(poll_id), earlier)

    shown = await polls.v1("GET", f"/polls/{poll_id}/votes/{quote('jürgen')}")
    cast = await polls.vote(poll_id, "jürgen", "b")

    assert (shown.status, shown.json["participant"]) == (200, "jürgen")
    assert cast.status == 200
    assert await counts(polls, poll_id) == {"a": 0, "b": 1, "c": 0}


async def test_concurrent_votes_of_one_participant_store_one_ballot(polls: Polls) -> None:
    poll_id = await create_poll(polls)

    answers = await asyncio.gather(*(polls.vote(poll_id, "ada", "abc"[n % 3]) for n in range(30)))

    assert Counter(answer.status for answer in answers) == {201: 1, 409: 29}
    assert (await polls.get_results(poll_id))["votes"] == 1


async def test_concurrent_votes_and_withdrawals_are_counted_exactly(polls: Polls) -> None:
    poll_id = await create_poll(polls, allowRevote=True, allowSelectionOfMultipleOptions=True)
    choices: dict[str, tuple[str, ...]] = {}

    async def vote_repeatedly(number: int) -> None:
        who = f"voter {number}"
        for turn in range(5):
            choice = tuple("abc"[: (number + turn) % 3 + 1])
            assert (await polls.vote(poll_id, who, *choice)).status in (200, 201)
            choices[who] = choice
        if number % 4 == 0:
            assert (await polls.v1("DELETE", f"/polls/{poll_id}/votes/{who}".replace(" ", "%20"))).status == 204
            del choices[who]

    await asyncio.gather(*(vote_repeatedly(number) for number in range(24)))

    expected = Counter(option for choice in choices.values() for option in choice)
    assert await counts(polls, poll_id) == expected
    assert (await polls.get_results(poll_id))["participants"] == len(choices)


async def test_list_of_ballots_has_pages_sorted_by_participant(polls: Polls) -> None:
    """The order must not depend on the hashes, which remain when names are erased."""
    poll_id = await create_poll(polls, saveParticipantNames=True)
    for number in (3, 0, 4, 1, 2):
        await polls.vote(poll_id, f"voter-{number}", "a", name=f"Voter {number}")

    pages = [page async for page in polls.list_pages(f"/polls/{poll_id}/votes", limit=2)]

    found = [ballot for page in pages for ballot in page["items"]]
    assert [ballot["participant"] for ballot in found] == [f"voter-{number}" for number in range(5)]
    cursors = [json.loads(urlsafe_b64decode(page["next"] + "==")) for page in pages[:-1]]
    assert cursors == [["voter-1"], ["voter-3"]]
    assert all(ballot["castAt"] and ballot["name"] for ballot in found)


async def test_comments_are_listed_without_participants_and_choices(polls: Polls, authority: Authority) -> None:
    poll_id = await create_poll(polls, allowComment=True, allowRevote=True)
    for number, text in enumerate(["First", "Second", "Third", "Second", "Fourth"]):
        await polls.vote(poll_id, f"voter-{number}", "a", comment=text)
    await polls.vote(poll_id, "silent", "b")
    await polls.v1("DELETE", f"/polls/{poll_id}/votes/voter-4")

    pages = [page async for page in polls.list_pages(f"/polls/{poll_id}/comments", limit=2)]
    reader = polls.with_token((await authority.issue("polls:read,vote,update:*"))["token"])
    refused = await reader.v1("GET", f"/polls/{poll_id}/comments")

    found = [(item["comment"], item["ballots"]) for page in pages for item in page["items"]]
    assert len(pages) == 2
    assert sorted(found) == [("First", 1), ("Second", 2), ("Third", 1)]
    assert all(item.keys() == {"comment", "ballots"} for page in pages for item in page["items"])
    assert refused.status == 403


async def test_list_of_ballots_without_names_returns_409(polls: Polls) -> None:
    poll_id = await create_poll(polls)
    await polls.vote(poll_id, "ada", "a")

    answer = await polls.v1("GET", f"/polls/{poll_id}/votes")

    assert (answer.status, answer.json["type"]) == (409, "/docs/problems/names-not-kept")
