"""`/p/{link}/events` sends the results to the page of a link as they change, as long as the link works."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.sse_client import Follower
from tests.support.stack import Authority, Polls, run_polls_service
from tests.support.voter import Voter, create_link

pytestmark = pytest.mark.shared_services


@asynccontextmanager
async def follow(
    polls: Polls, voter: Voter, link: Any, view: str = "table", last: str = ""
) -> AsyncGenerator[Follower, None]:
    """Follow the results as the page of a link does."""
    ((_, name), cookie), *_ = voter.jar.items()
    headers = {"Cookie": f"{name}={cookie}", **({"Last-Event-ID": last} if last else {})}
    url = f"{polls.base}/p/{link['id']}/events?results={view}"
    async with polls.session.get(url, headers=headers) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
        yield Follower(response)


async def open_link(polls: Polls, poll: Any, **fields: Any) -> tuple[Voter, Any]:
    """Return a browser that has opened a new shared link, and the link."""
    link = await create_link(polls, poll["id"], **fields)
    voter = Voter(polls)
    await voter.open(link)
    return voter, link


async def test_stream_sends_results_now_and_after_each_vote(polls: Polls, subtests: pytest.Subtests) -> None:
    for view, empty, full in (
        ("table", '<td class="figure">0.0%</td>', '<td class="figure">100.0%</td>'),
        ("bar", '<rect width="0"', '<rect width="100.0"'),
        ("pie", "No votes yet.", '<circle class="colour-0" r="100"/>'),
    ):
        with subtests.test(view):
            poll = await polls.create_poll()
            voter, link = await open_link(polls, poll)
            async with follow(polls, voter, link, view) as follower:
                first = await follower.next()
                await polls.vote(poll["id"], "ada", "y")
                second = await follower.next()

            assert empty in first.data["html"]
            assert full in second.data["html"]
            assert "Total: 1 participant, 1 vote" in second.data["html"]
            assert first.data["etag"] == second.data["etag"] == poll["etag"]


async def test_stream_says_when_poll_was_edited(polls: Polls) -> None:
    poll = await polls.create_poll()
    voter, link = await open_link(polls, poll)
    async with follow(polls, voter, link) as follower:
        await follower.next()
        await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"})
        edited = await follower.next()

    assert edited.data["etag"] == '"2"'


async def test_stream_ends_when_link_is_revoked_also_without_a_vote(polls: Polls) -> None:
    poll = await polls.create_poll()
    voter, link = await open_link(polls, poll)
    async with follow(polls, voter, link) as follower:
        await follower.next()
        await polls.v1("DELETE", f"/polls/{poll['id']}/links/{link['id']}")
        ended = await follower.next(within_s=2)
        with pytest.raises(EOFError):
            await follower.next()

    assert ended.name == "ended"


async def test_vote_after_the_revocation_of_a_link_is_not_sent_to_its_page(polls: Polls) -> None:
    poll = await polls.create_poll()
    voter, link = await open_link(polls, poll)
    for number in range(5):
        other = await create_link(polls, poll["id"])
        browser = Voter(polls)
        await browser.open(other)
        async with follow(polls, browser, other) as follower:
            await follower.next()
            await polls.v1("DELETE", f"/polls/{poll['id']}/links/{other['id']}")
            await polls.vote(poll["id"], f"voter {number}", "y")
            event = await follower.next(within_s=2)

        assert event.name == "ended"
    async with follow(polls, voter, link) as follower:
        assert "Total: 5 participants" in (await follower.next()).data["html"]


@pytest.mark.own_services
async def test_stream_at_another_replica_ends_when_link_is_revoked(
    database: ClonedDatabase, redis_url: str, authority: Authority, polls: Polls
) -> None:
    poll = await polls.create_poll()
    async with run_polls_service(database, redis_url, authority.base) as replica:
        voter, link = await open_link(polls, poll)
        async with follow(replica, voter, link) as follower:
            await follower.next()
            await polls.v1("DELETE", f"/polls/{poll['id']}/links/{link['id']}")
            assert (await follower.next(within_s=5)).name == "ended"


async def test_stream_ends_when_link_expires_or_poll_is_deleted(polls: Polls, database: ClonedDatabase) -> None:
    poll, deleted = await polls.create_poll(), await polls.create_poll()
    voter, link = await open_link(polls, poll)
    other, foreign = await open_link(polls, deleted)
    async with follow(polls, voter, link) as follower, follow(polls, other, foreign) as second:
        await follower.next()
        await second.next()
        await fetch(database.admin_url, "UPDATE polls.link SET expires_at = now() WHERE id = $1", link["id"])
        await polls.v1("DELETE", f"/polls/{deleted['id']}")

        assert (await second.next(within_s=2)).name == "ended"
        assert (await follower.next(within_s=8)).name == "ended"


async def test_withheld_vote_sends_no_event(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"resultsVisibility": "afterVote"})
    voter, link = await open_link(polls, poll)
    async with follow(polls, voter, link) as follower:
        first = await follower.next()
        await polls.vote(poll["id"], "ada", "y")
        with pytest.raises(TimeoutError):
            await follower.next(within_s=1)

    assert first.data["html"] == ""


async def test_resumed_stream_does_not_repeat_what_was_received(polls: Polls) -> None:
    poll = await polls.create_poll()
    voter, link = await open_link(polls, poll)
    async with follow(polls, voter, link) as follower:
        seen = await follower.next()
    async with follow(polls, voter, link, last=seen.id) as follower:
        await polls.vote(poll["id"], "ada", "y")
        event = await follower.next()

    assert "Total: 1 participant" in event.data["html"]


async def test_stream_without_cookie_returns_404(polls: Polls) -> None:
    poll = await polls.create_poll()
    _, link = await open_link(polls, poll)

    assert (await Voter(polls).get(f"/p/{link['id']}/events")).status == 404


async def test_results_after_vote_end_with_the_withdrawal_of_the_vote(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"resultsVisibility": "afterVote"})
    voter, link = await open_link(polls, poll)
    await voter.vote(await voter.get(f"/p/{link['id']}"), "Yes")
    async with follow(polls, voter, link) as follower:
        assert "Total: 1 participant" in (await follower.next()).data["html"]

        await voter.withdraw(link)

        assert (await follower.next()).data["html"] == ""
        await polls.vote(poll["id"], "ada", "n")
        with pytest.raises(TimeoutError):
            await follower.next(within_s=2)


@pytest.mark.parametrize("polls_settings", [{"live_pages": 80}])
async def test_streams_of_one_address_leave_some_for_others(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    opened = []
    for _ in range(3):
        voter = Voter(polls)
        await voter.open(link)
        headers = {"Cookie": f"pollgate_voter={next(iter(voter.jar.values()))}"}
        url = f"{polls.base}/p/{link['id']}/events"
        opened += [await polls.session.get(url, headers=headers) for _ in range(8)]
    statuses = [response.status for response in opened]
    for response in opened:
        response.close()

    assert statuses == [200] * 20 + [429] * 4


@pytest.mark.parametrize("polls_settings", [{"live_pages": 1}])
async def test_stream_beyond_the_limit_of_the_process_returns_503(polls: Polls) -> None:
    poll = await polls.create_poll()
    voter, link = await open_link(polls, poll)
    async with follow(polls, voter, link) as follower:
        await follower.next()

        assert (await voter.get(f"/p/{link['id']}/events")).status == 503


async def test_browser_has_a_maximum_number_of_streams(polls: Polls) -> None:
    poll = await polls.create_poll()
    voter, link = await open_link(polls, poll)
    name, cookie = "pollgate_voter", next(iter(voter.jar.values()))
    url = f"{polls.base}/p/{link['id']}/events"
    opened = [await polls.session.get(url, headers={"Cookie": f"{name}={cookie}"}) for _ in range(11)]
    statuses = [response.status for response in opened]
    for response in opened:
        response.close()

    assert statuses == [200] * 10 + [429]
