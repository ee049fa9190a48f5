"""`pollgate poll vote` and `withdraw`."""

from typing import Any

import pytest

from tests.support.command_line import CommandLine, run_lossy_proxy
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

OPTIONS = [
    {"id": "y", "title": "Yes"},
    {"id": "n", "title": "No"},
    {"id": "No", "title": "y"},
    {"id": "m1", "title": "Maybe"},
    {"id": "m2", "title": "Grün ⭐"},
]


async def create_poll(polls: Polls, **settings: Any) -> str:
    """Create a poll and return its id."""
    return str((await polls.create_poll(options=OPTIONS, settings=settings))["id"])


async def list_chosen_options(polls: Polls, poll_id: str) -> list[str]:
    """Return the ids of the options that have votes."""
    return [option["id"] for option in (await polls.get_results(poll_id))["options"] if option["votes"]]


@pytest.mark.parametrize(
    ("word", "option_id"), [("y", "y"), ("Yes", "y"), ("No", "No"), (" Gru\u0308n ⭐\ufe0f", "m2")]
)
async def test_poll_vote_finds_option_by_id_before_title(
    integrator: CommandLine, polls: Polls, word: str, option_id: str
) -> None:
    poll_id = await create_poll(polls)

    cast = await integrator("poll", "vote", poll_id, "--as", "ada", word)

    title = next(option["title"] for option in OPTIONS if option["id"] == option_id)
    assert (cast.status, cast.out) == (0, f"Cast the ballot of ada: {title}.\n")
    assert await list_chosen_options(polls, poll_id) == [option_id]


async def test_poll_vote_by_title_that_two_options_had_before_it_was_refused_exits_1(
    integrator: CommandLine, polls: Polls, database: ClonedDatabase
) -> None:
    poll_id = await create_poll(polls)
    await fetch(database.admin_url, "UPDATE polls.poll SET options = replace(options::text, 'Maybe', 'Yes')::jsonb")

    refused = await integrator("poll", "vote", poll_id, "--as", "ada", "Yes")

    assert (refused.status, refused.err) == (
        1,
        "pollgate: several options have the title 'Yes'; give an id: y, m1\n",
    )


async def test_poll_vote_with_several_options_name_and_comment(integrator: CommandLine, polls: Polls) -> None:
    settings = {"allowSelectionOfMultipleOptions": True, "saveParticipantNames": True, "allowComment": True}
    poll_id = await create_poll(polls, **settings)

    cast = await integrator(
        *("poll", "vote", poll_id, "Yes", "m2", "--as", "ada", "--name", "Ada", "--comment", "After lunch", "--json")
    )

    assert cast.json["optionIds"] == ["y", "m2"]
    assert (cast.json["participant"], cast.json["name"], cast.json["comment"]) == ("ada", "Ada", "After lunch")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("Never",), "\n  OPTION 'Never': this poll has no such option; it has 'y', 'n', 'No', 'm1', 'm2'"),
        (("y", "n"), "OPTION: this poll allows exactly one option per ballot, not 2"),
        (("y", "--comment", "x"), "--comment: this poll allows no comments"),
    ],
)
async def test_poll_vote_with_invalid_ballot_exits_1(
    integrator: CommandLine, polls: Polls, words: tuple[str, ...], sentence: str
) -> None:
    poll_id = await create_poll(polls)

    refused = await integrator("poll", "vote", poll_id, "--as", "ada", *words)

    assert (refused.status, refused.out) == (1, "")
    assert sentence in refused.err
    assert await list_chosen_options(polls, poll_id) == []


@pytest.mark.parametrize("words", [("vote", "ID", "Yes"), ("vote", "ID", "Yes", "--as"), ("withdraw", "ID")])
async def test_poll_vote_without_participant_exits_2(integrator: CommandLine, words: tuple[str, ...]) -> None:
    refused = await integrator("poll", *words)

    assert (refused.status, refused.err) == (
        2,
        "pollgate: --as PARTICIPANT is missing: the participant who votes. See --help.\n",
    )


async def test_poll_vote_help_shows_arguments(integrator: CommandLine) -> None:
    helped = await integrator("poll", "vote", "--help")

    assert helped.out.startswith("Usage: pollgate poll vote --as PARTICIPANT [OPTIONS] POLL_ID OPTION...\n")


async def test_poll_vote_with_vote_scope_alone_accepts_ids(
    integrator: CommandLine, polls: Polls, authority: Authority
) -> None:
    poll_id = await create_poll(polls)
    integrator.use_polls(polls.base, (await authority.issue("polls:vote:PLAT"))["token"])

    cast = await integrator("poll", "vote", poll_id, "--as", "ada", "y")

    assert (cast.status, cast.out) == (0, "Cast the ballot of ada: y.\n")


async def test_secret_poll_vote_with_lost_response_exits_1_and_says_so(integrator: CommandLine, polls: Polls) -> None:
    poll_id = await create_poll(polls)
    async with run_lossy_proxy(polls.base) as proxy:
        integrator.use_polls(proxy.url, polls.token)
        proxy.lost = 1
        cast = await integrator("poll", "vote", poll_id, "--as", "ada", "y")

    assert (cast.status, (await polls.get_results(poll_id))["votes"]) == (1, 1)
    assert proxy.url in cast.err
    assert "The participant has voted, with this ballot or with an earlier one" in cast.err


async def test_poll_vote_with_lost_response_casts_one_ballot(integrator: CommandLine, polls: Polls) -> None:
    poll_id = await create_poll(polls, saveParticipantNames=True)
    async with run_lossy_proxy(polls.base) as proxy:
        integrator.use_polls(proxy.url, polls.token)
        proxy.lost = 1
        cast = await integrator("poll", "vote", poll_id, "--as", "ada", "y")

    assert (cast.status, (await polls.get_results(poll_id))["votes"]) == (0, 1)


async def test_poll_withdraw_twice_exits_0_then_1(integrator: CommandLine, polls: Polls) -> None:
    poll_id = await create_poll(polls)
    await polls.vote(poll_id, "ada", "y")

    withdrawn = await integrator("poll", "withdraw", poll_id, "--as", "ada")
    again = await integrator("poll", "withdraw", poll_id, "--as", "ada")

    assert (withdrawn.status, withdrawn.out) == (0, "Withdrew the ballot of ada.\n")
    assert (again.status, "answered 404: The participant has no ballot in this poll." in again.err) == (1, True)
    assert await list_chosen_options(polls, poll_id) == []
