"""The examples in `docs/python.md`, as printed, against real services."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pollgate.client import AuthorityClient, Conflict, Location, NewPoll, Option, PollsClient
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

GUIDE = Path(__file__).parents[3] / "docs" / "python.md"
EXAMPLES: Sequence[str] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
LUNCH = NewPoll(Location("PLAT", "PLAT-1"), title="Lunch?", options=[Option("yes", "Yes"), Option("no", "No")])


@pytest.fixture(scope="module")
def examples() -> dict[str, Any]:
    """Run the examples and return the names that they define."""
    names: dict[str, Any] = {"__name__": "guide"}
    for example in EXAMPLES:
        exec(example, names)  # noqa: S102 - our own examples
    return names


async def test_example_program_returns_results(
    examples: dict[str, Any], polls: Polls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POLLS_URL", polls.base)
    monkeypatch.setenv("POLLGATE_TOKEN", polls.token)

    results = await examples["main"]()

    assert (results.average, results.participants) == (4.5, 2)
    assert len(capsys.readouterr().out.splitlines()) == 1


async def test_vote_handles_401_409_422_and_429(
    examples: dict[str, Any], polls: Polls, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pollgate.client.retries.TIME_LIMIT_S", -1.0)
    limited = await authority.issue("polls:vote:PLAT", rate_limit=1)
    vote = examples["vote"]

    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        cast = await vote(client, poll.id, "ada", ["yes"])
        again = await vote(client, poll.id, "ada", ["yes"])
        wrong = await vote(client, poll.id, "bob", ["maybe"])
        await client.close_poll(poll.id)
        late = await vote(client, poll.id, "bob", ["yes"])
    async with PollsClient(polls.base, "pgt_" + "A" * 38) as client:
        unknown = await vote(client, poll.id, "bob", ["yes"])
    async with PollsClient(polls.base, limited["token"]) as client:
        await vote(client, poll.id, "bob", ["yes"])
        too_many = await vote(client, poll.id, "bob", ["yes"])

    assert cast.option_ids == ["yes"]
    assert again == "You have voted."
    assert wrong.startswith("option_ids[0]: ")
    assert late == "The poll is closed."
    assert unknown == "The access token does not work any more."
    assert re.fullmatch(r"Too many requests; try again in \d+ s\.", too_many)


async def test_append_to_title_repeats_the_edit_after_412(examples: dict[str, Any], polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        await asyncio.gather(*(examples["append_to_title"](client, poll.id, "!") for _ in range(3)))
        edited = await client.get_poll(poll.id)

    assert edited.title == "Lunch?!!!"


async def test_rotate_returns_the_new_secret(examples: dict[str, Any], authority: Authority) -> None:
    issued = await authority.issue()
    async with AuthorityClient(authority.base, authority.admin_key) as client:
        rotated = await examples["rotate"](client, issued["id"])

    assert (await authority.introspect(rotated.token)).json["active"]


async def test_final_votes_follows_a_poll_until_it_is_closed(examples: dict[str, Any], polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        following = asyncio.create_task(examples["final_votes"](client, poll.id))
        await client.cast_ballot(poll.id, "ada", ["yes"])
        await client.close_poll(poll.id)
        with pytest.raises(Conflict):
            await client.cast_ballot(poll.id, "bob", ["yes"])

        assert await asyncio.wait_for(following, 30) == 1


async def test_replace_tokens_revokes_the_old_ones(examples: dict[str, Any], authority: Authority) -> None:
    old = await authority.issue(owner="ada")
    other = await authority.issue(owner="bob")
    async with AuthorityClient(authority.base, authority.admin_key) as client:
        token = await examples["replace_tokens"](client, "ada")

    active = [(await authority.introspect(each)).json["active"] for each in (token, old["token"], other["token"])]
    assert active == [True, False, True]


async def test_invite_returns_addresses_and_replace_link_revokes_the_old_one(
    examples: dict[str, Any], polls: Polls
) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        addresses = await examples["invite"](client, poll.id, {"ada": "Ada", "bob": "Bob"})
        address = await examples["replace_link"](client, poll.id, "ada")
        links = [link.status async for link in client.list_links(poll.id, participant="ada")]

    assert addresses.keys() == {"ada", "bob"}
    assert address not in addresses.values()
    assert links == ["revoked", "active"]


async def test_every_problem_type_in_the_guide_has_a_page(polls: Polls) -> None:
    named = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', "".join(EXAMPLES)))

    assert named == {"already-voted", "poll-closed"}
    async with aiohttp.ClientSession() as session:
        for slug in named:
            async with session.get(f"{polls.base}/docs/problems/{slug}") as answer:
                assert answer.status == 200
