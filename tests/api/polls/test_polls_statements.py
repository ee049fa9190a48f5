"""Each request runs a fixed number of statements, however many polls, options, ballots or followers there are."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Final

import aiohttp
import pytest

from tests.support.stack import LUNCH_OPTIONS, Polls
from tests.support.statements import count_statements

pytestmark = pytest.mark.shared_services

KEY: Final = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
JIRA: Final = {"workspace": "PLAT", "content": "PLAT-1"}
NAMED: Final = {"saveParticipantNames": True, "allowRevote": True}
FOLLOWERS: Final = 50
CREATE: Final = {"select_time": 1, "insert_poll": 1}
EDIT: Final = {"lock_polls": 1, "select_poll": 2, "select_locked_poll": 1, "update_poll": 1, "insert_audit": 1}
DELETE: Final = {"lock_polls": 1, "select_poll": 1, "select_locked_poll": 1, "insert_audit": 1, "delete_poll": 1}


@pytest.fixture(autouse=True)
async def _wait_for_first_retention(polls: Polls) -> None:
    """Wait for the statement that the service runs when it starts."""
    async with asyncio.timeout(10):
        while b'query="delete_expired_responses"' not in (await polls("GET", "/metrics")).body:
            await asyncio.sleep(0.02)


async def create_voted_poll(polls: Polls, *voters: str) -> Any:
    """Create a poll that keeps names, with a ballot of each voter, and return it."""
    poll = await polls.create_poll(settings=NAMED)
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
    ("/comments", {}, {"select_poll": 1, "list_comments": 1}),
    ("/audit", {}, {"select_audited_place": 1, "select_audit": 1}),
]


@pytest.mark.parametrize(("path", "query", "statements"), READS)
async def test_get_of_poll_runs_one_statement_or_two(
    polls: Polls, path: str, query: dict[str, Any], statements: dict[str, int]
) -> None:
    poll = await create_voted_poll(polls, "ada", "grace", "edsger")

    async with count_statements(polls) as counted:
        answer = await polls.v1("GET", f"/polls/{poll['id']}{path}", **query)

    assert answer.status == 200
    assert counted == statements


async def test_list_of_50_polls_with_results_runs_one_statement(polls: Polls) -> None:
    await asyncio.gather(*(polls.create_poll() for _ in range(51)))

    async with count_statements(polls) as counted:
        page = await polls.v1("GET", "/polls", limit=50, expand="results")

    assert len(page.json["items"]) == 50
    assert all("results" in poll for poll in page.json["items"])
    assert counted == {"list_polls": 1}


async def test_contract_list_of_50_polls_with_results_runs_one_statement(polls: Polls) -> None:
    await asyncio.gather(*(polls.create_poll() for _ in range(50)))

    async with count_statements(polls) as counted:
        listed = await polls.call("GET", expand="results")

    assert len(listed.json) == 50
    assert counted == {"select_polls": 1}


async def test_list_of_templates_runs_no_statement(polls: Polls) -> None:
    async with count_statements(polls) as counted:
        assert (await polls.v1("GET", "/templates")).status == 200

    assert counted == {}


async def test_create_poll_runs_two_statements(polls: Polls) -> None:
    async with count_statements(polls) as counted:
        await polls.create_poll()

    assert counted == CREATE


async def test_create_poll_with_key_runs_four_statements_and_two_when_repeated(polls: Polls) -> None:
    body = {"template": "stars", "location": JIRA}

    async with count_statements(polls) as first:
        assert (await polls.v1("POST", "/polls", body, KEY)).status == 201
    async with count_statements(polls) as again:
        assert (await polls.v1("POST", "/polls", body, KEY)).status == 201

    assert first == {"claim_key": 1, **CREATE, "store_response": 1}
    assert again == {"claim_key": 1, "select_response": 1}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_edit_runs_six_statements(polls: Polls, method: str) -> None:
    poll = await create_voted_poll(polls, "ada")
    body = {"title": "Lunch?", "description": "At one", "options": LUNCH_OPTIONS, "settings": NAMED}

    async with count_statements(polls) as counted:
        assert (await polls.v1(method, f"/polls/{poll['id']}", body)).status == 200

    assert counted == EDIT


async def test_edit_that_drops_votes_of_ten_ballots_runs_ten_statements(polls: Polls) -> None:
    poll = await create_voted_poll(polls, *(f"voter {number}" for number in range(10)))
    body = {"options": LUNCH_OPTIONS[1:], "settings": {"saveParticipantNames": False}}

    async with count_statements(polls) as counted:
        dropped = await polls.v1("PATCH", f"/polls/{poll['id']}", body, dropVotes="true")

    assert dropped.json["effect"]["droppedBallots"] == 10
    assert counted == {**EDIT, "drop_ballots": 1, "drop_votes": 1, "anonymize_ballots": 1, "erase_link_names": 1}


async def test_delete_runs_five_statements(polls: Polls) -> None:
    poll = await create_voted_poll(polls, "ada")

    async with count_statements(polls) as counted:
        assert (await polls.v1("DELETE", f"/polls/{poll['id']}")).status == 204

    assert counted == DELETE


async def test_vote_and_withdrawal_run_two_statements(polls: Polls) -> None:
    poll = await create_voted_poll(polls)

    async with count_statements(polls) as first:
        assert (await polls.vote(poll["id"], "ada", "y")).status == 201
    async with count_statements(polls) as again:
        assert (await polls.vote(poll["id"], "ada", "n")).status == 200
    async with count_statements(polls) as withdrawn:
        assert (await polls.v1("DELETE", f"/polls/{poll['id']}/votes/ada")).status == 204

    assert first == again == {"select_ballot": 1, "cast_ballot": 1}
    assert withdrawn == {"select_ballot": 1, "remove_ballot": 1}


@pytest.mark.parametrize("count", [1, 20])
async def test_batch_runs_a_fixed_number_of_statements_per_item(polls: Polls, count: int) -> None:
    made = [await polls.create_poll() for _ in range(3 * count)]
    ids = [poll["id"] for poll in made]
    items: list[Any] = [{"op": "create", "poll": {"template": "stars", "location": JIRA}}] * count
    items += [{"op": "update", "id": each, "poll": {"title": "x", "options": LUNCH_OPTIONS}} for each in ids[:count]]
    items += [{"op": "close", "id": each} for each in ids[count : 2 * count]]
    items += [{"op": "delete", "id": each} for each in ids[2 * count :]]

    async with count_statements(polls) as counted:
        changed = await polls.v1("POST", "/polls:batch", {"items": items})

    assert {outcome["status"] for outcome in changed.json["items"]} == {200, 201, 204}
    assert counted["insert_poll"] == count
    assert counted["lock_polls"] == 1 + 3 * count
    assert counted.total() == 2 + (2 + 6 + 6 + 5) * count


@pytest.mark.parametrize(
    ("method", "statements"),
    [("POST", CREATE), ("PUT", EDIT), ("DELETE", DELETE)],
)
async def test_contract_request_runs_same_statements_as_v1(
    polls: Polls, method: str, statements: dict[str, int]
) -> None:
    poll = await polls.create_poll()
    body = None if method == "DELETE" else {"title": "Dinner?", "options": LUNCH_OPTIONS}

    async with count_statements(polls) as counted:
        assert (await polls.call(method, body, pollId=poll["id"])).status == 200

    assert counted == statements


async def wait_for_results(response: aiohttp.ClientResponse) -> None:
    """Wait for the next event with results."""
    while not (await response.content.readline()).startswith(b"event: results"):
        pass


async def test_change_of_poll_with_50_followers_runs_one_read(polls: Polls) -> None:
    poll, changes = await create_voted_poll(polls), 5
    url, headers = f"{polls.base}/v1/polls/{poll['id']}/events", {"Authorization": f"Bearer {polls.token}"}
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        opened = [stack.enter_async_context(polls.session.get(url, headers=headers)) for _ in range(FOLLOWERS)]
        followers = await asyncio.gather(*opened)
        await asyncio.gather(*map(wait_for_results, followers))

        async with count_statements(polls) as counted:
            for number in range(changes):
                await polls.vote(poll["id"], f"voter {number}", "y")
                await asyncio.gather(*map(wait_for_results, followers))

    reads = counted.pop("select_watched")
    assert counted == {"select_ballot": changes, "cast_ballot": changes}
    assert reads <= changes + 5, "one read per change, and a few because time has passed"
