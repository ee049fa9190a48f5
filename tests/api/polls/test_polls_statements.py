"""What each request costs the database: so many statements, however many polls, options, ballots or followers."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Final

import aiohttp
import pytest

from tests.support.stack import LUNCH_OPTIONS, Polls
from tests.support.statements import counted_statements

pytestmark = pytest.mark.shared_services

KEY: Final = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
JIRA: Final = {"workspace": "PLAT", "content": "PLAT-1"}
NAMED: Final = {"saveParticipantNames": True, "allowRevote": True}
FOLLOWERS: Final = 50
EDIT: Final = {"lock_polls": 1, "select_poll": 3, "update_poll": 1}


@pytest.fixture(autouse=True)
async def _settled(polls: Polls) -> None:
    """What the service does of itself when it starts is done."""
    async with asyncio.timeout(10):
        while b'query="delete_expired_responses"' not in (await polls("GET", "/metrics")).body:
            await asyncio.sleep(0.02)


async def voted_in(polls: Polls, *voters: str) -> Any:
    """A poll that keeps names, in which these have voted."""
    poll = await polls.make(settings=NAMED)
    for voter in voters:
        assert (await polls.vote(poll["id"], voter, "y")).status == 201
    return poll


READS: Final[list[tuple[str, dict[str, Any], dict[str, int]]]] = [
    ("", {}, {"select_poll": 1}),
    ("", {"expand": "results"}, {"select_poll": 1}),
    ("/results", {}, {"select_poll": 1}),
    ("/results", {"participant": "ada"}, {"select_ballot": 1}),
    ("/votes/ada", {}, {"select_ballot": 1}),
    ("/votes", {}, {"select_poll": 1, "list_ballots": 1}),
]


@pytest.mark.parametrize(("path", "query", "cost"), READS)
async def test_reading_a_poll(polls: Polls, path: str, query: dict[str, Any], cost: dict[str, int]) -> None:
    poll = await voted_in(polls, "ada", "grace", "edsger")

    async with counted_statements(polls) as counted:
        answer = await polls.v1("GET", f"/polls/{poll['id']}{path}", **query)

    assert answer.status == 200
    assert counted == cost


async def test_listing_fifty_polls_with_their_results(polls: Polls) -> None:
    await asyncio.gather(*(polls.make() for _ in range(51)))

    async with counted_statements(polls) as counted:
        page = await polls.v1("GET", "/polls", limit=50, expand="results")

    assert len(page.json["items"]) == 50
    assert all("results" in poll for poll in page.json["items"])
    assert counted == {"list_polls": 1}


async def test_listing_the_polls_of_a_place_with_their_results(polls: Polls) -> None:
    await asyncio.gather(*(polls.make() for _ in range(50)))

    async with counted_statements(polls) as counted:
        listed = await polls.call("GET", expand="results")

    assert len(listed.json) == 50
    assert counted == {"select_polls": 1}


async def test_the_templates_cost_nothing(polls: Polls) -> None:
    async with counted_statements(polls) as counted:
        assert (await polls.v1("GET", "/templates")).status == 200

    assert counted == {}


async def test_creating_a_poll(polls: Polls) -> None:
    async with counted_statements(polls) as counted:
        await polls.make()

    assert counted == {"insert_poll": 1}


async def test_creating_a_poll_once_and_asking_again(polls: Polls) -> None:
    body = {"template": "stars", "location": JIRA}

    async with counted_statements(polls) as first:
        assert (await polls.v1("POST", "/polls", body, KEY)).status == 201
    async with counted_statements(polls) as again:
        assert (await polls.v1("POST", "/polls", body, KEY)).status == 201

    assert first == {"claim_key": 1, "insert_poll": 1, "store_response": 1}
    assert again == {"claim_key": 1, "select_response": 1}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_editing_a_poll(polls: Polls, method: str) -> None:
    poll = await voted_in(polls, "ada")
    body = {"title": "Dinner?", "options": LUNCH_OPTIONS, "settings": NAMED}

    async with counted_statements(polls) as counted:
        assert (await polls.v1(method, f"/polls/{poll['id']}", body)).status == 200

    assert counted == EDIT


async def test_dropping_votes_costs_the_same_for_any_number_of_ballots(polls: Polls) -> None:
    poll = await voted_in(polls, *(f"voter {number}" for number in range(10)))
    body = {"options": LUNCH_OPTIONS[1:], "settings": {"saveParticipantNames": False}}

    async with counted_statements(polls) as counted:
        dropped = await polls.v1("PATCH", f"/polls/{poll['id']}", body, dropVotes="true")

    assert dropped.json["effect"]["droppedBallots"] == 10
    assert counted == {**EDIT, "drop_ballots": 1, "drop_votes": 1, "anonymize_ballots": 1}


async def test_deleting_a_poll(polls: Polls) -> None:
    poll = await voted_in(polls, "ada")

    async with counted_statements(polls) as counted:
        assert (await polls.v1("DELETE", f"/polls/{poll['id']}")).status == 204

    assert counted == {"lock_polls": 1, "select_poll": 2, "delete_poll": 1}


async def test_voting_and_voting_again_and_withdrawing(polls: Polls) -> None:
    poll = await voted_in(polls)

    async with counted_statements(polls) as first:
        assert (await polls.vote(poll["id"], "ada", "y")).status == 201
    async with counted_statements(polls) as again:
        assert (await polls.vote(poll["id"], "ada", "n")).status == 200
    async with counted_statements(polls) as withdrawn:
        assert (await polls.v1("DELETE", f"/polls/{poll['id']}/votes/ada")).status == 204

    assert first == again == {"select_ballot": 1, "cast_ballot": 1}
    assert withdrawn == {"select_ballot": 1, "remove_ballot": 1}


@pytest.mark.parametrize("count", [1, 20])
async def test_a_batch_costs_each_of_its_items_alone(polls: Polls, count: int) -> None:
    made = [await polls.make() for _ in range(3 * count)]
    ids = [poll["id"] for poll in made]
    items: list[Any] = [{"op": "create", "poll": {"template": "stars", "location": JIRA}}] * count
    items += [{"op": "update", "id": each, "poll": {"title": "x", "options": LUNCH_OPTIONS}} for each in ids[:count]]
    items += [{"op": "close", "id": each} for each in ids[count : 2 * count]]
    items += [{"op": "delete", "id": each} for each in ids[2 * count :]]

    async with counted_statements(polls) as counted:
        changed = await polls.v1("POST", "/polls:batch", {"items": items})

    assert {outcome["status"] for outcome in changed.json["items"]} == {200, 201, 204}
    assert counted["insert_poll"] == count
    assert counted["lock_polls"] == 1 + 3 * count
    assert counted.total() == 2 + (1 + 5 + 5 + 4) * count


@pytest.mark.parametrize(
    ("method", "cost"),
    [("POST", {"insert_poll": 1}), ("PUT", EDIT), ("DELETE", {"lock_polls": 1, "select_poll": 2, "delete_poll": 1})],
)
async def test_the_contracts_calls(polls: Polls, method: str, cost: dict[str, int]) -> None:
    poll = await polls.make()
    body = None if method == "DELETE" else {"title": "Dinner?", "options": LUNCH_OPTIONS}

    async with counted_statements(polls) as counted:
        assert (await polls.call(method, body, pollId=poll["id"])).status == 200

    assert counted == cost


async def results(response: aiohttp.ClientResponse) -> None:
    """Wait for the next event with results."""
    while not (await response.content.readline()).startswith(b"event: results"):
        pass


async def test_all_who_follow_a_poll_cost_one_statement_for_each_change(polls: Polls) -> None:
    poll, changes = await voted_in(polls), 5
    url, headers = f"{polls.base}/v1/polls/{poll['id']}/events", {"Authorization": f"Bearer {polls.token}"}
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        opened = [stack.enter_async_context(polls.session.get(url, headers=headers)) for _ in range(FOLLOWERS)]
        followers = await asyncio.gather(*opened)
        await asyncio.gather(*map(results, followers))

        async with counted_statements(polls) as counted:
            for number in range(changes):
                await polls.vote(poll["id"], f"voter {number}", "y")
                await asyncio.gather(*map(results, followers))

    looks = counted.pop("select_watched")
    assert counted == {"select_ballot": changes, "cast_ballot": changes}
    assert looks <= changes + 5, "a look for each change, and a few because time has passed"
