"""`GET /v1/polls/{id}/events` sends changes of a poll, from every replica, until the token or the poll ends."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from aiohttp import web

from services.polls.tasks.poll_feed import POLLS_CHANNEL
from shared.runtime.process.supervise import supervise
from shared.runtime.redis.client import redis_client
from tests.support.databases import ClonedDatabase
from tests.support.proxy import run_proxy
from tests.support.sse_client import follow
from tests.support.stack import Authority, Polls, run_polls_service

pytestmark = pytest.mark.shared_services

CLOSED = {"settings": {"endDate": "2026-01-01", "closePollOnEndDate": True}}
NO_PERIODIC_READS = pytest.mark.parametrize("polls_limits", [{"max_silence_s": 3600.0}], ids=["no periodic reads"])
MAX_DELAY = timedelta(seconds=5)
"""Much less than the time until the next periodic read."""


def settings_that_close_in(seconds: float) -> dict[str, Any]:
    """Return the settings of a poll that closes in so many seconds."""
    return {"endDate": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(), "closePollOnEndDate": True}


def time_since_end(settings: dict[str, Any]) -> timedelta:
    """Return the time since a poll with these settings has closed."""
    return datetime.now(UTC) - datetime.fromisoformat(settings["endDate"])


async def test_stream_sends_current_state_then_each_change_until_deletion(polls: Polls) -> None:
    poll = await polls.create_poll()
    async with follow(polls, poll["id"]) as follower:
        first, second = await follower.next(), await follower.next()
        await polls.vote(poll["id"], "ada", "y")
        voted = await follower.next()
        await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"}, allow="changeTitle")
        edited = await follower.next()
        await polls.v1("PATCH", f"/polls/{poll['id']}", CLOSED)
        closed = await follower.until(lambda event: event.name == "closed")
        await polls.v1("DELETE", f"/polls/{poll['id']}")
        deleted = await follower.next()
        with pytest.raises(EOFError):
            await follower.next()

    assert (first.name, first.data) == ("poll", poll)
    assert (second.name, second.data["votes"]) == ("results", 0)
    assert (voted.name, voted.data["votes"], voted.data["options"][0]["votes"]) == ("results", 1, 1)
    assert (edited.name, edited.data["title"]) == ("poll", "Dinner?")
    assert closed.data["status"] == "closed"
    assert deleted.name == "deleted"


async def test_vote_in_one_replica_is_sent_by_stream_of_another(
    polls: Polls, authority: Authority, database: ClonedDatabase, redis_url: str
) -> None:
    poll = await polls.create_poll()
    async with run_polls_service(database, redis_url, authority.base) as other:
        other.token = polls.token
        async with follow(other, poll["id"]) as follower:
            await follower.until(lambda event: event.name == "results")
            await polls.vote(poll["id"], "ada", "y")

            assert (await follower.until(lambda event: event.name == "results")).data["votes"] == 1


async def test_stream_with_last_event_id_sends_only_what_has_changed_since(polls: Polls) -> None:
    poll = await polls.create_poll()
    async with follow(polls, poll["id"]) as follower:
        last = await follower.until(lambda event: event.name == "results")

    async with follow(polls, poll["id"], last.id) as follower:
        with pytest.raises(TimeoutError):
            await follower.next(within_s=0.5)
    await polls.vote(poll["id"], "ada", "y")
    async with follow(polls, poll["id"], last.id) as follower:
        missed = await follower.next()
    await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"}, allow="changeTitle")
    async with follow(polls, poll["id"], missed.id) as follower:
        edited = await follower.next()

    assert (missed.name, missed.data["votes"]) == ("results", 1)
    assert (edited.name, edited.data["title"]) == ("poll", "Dinner?")


async def test_stream_with_unknown_last_event_id_sends_current_state(polls: Polls, subtests: pytest.Subtests) -> None:
    for last in ["x", "1", "..", "9.9.9", "é", "1.2.3.4", "0" * 1000]:
        with subtests.test(last=last[:20]):
            poll = await polls.create_poll()

            async with follow(polls, poll["id"], last) as follower:
                first = await follower.next()

            assert first.name == "poll"


@NO_PERIODIC_READS
async def test_poll_that_closes_by_end_date_is_sent_at_once(polls: Polls) -> None:
    settings = settings_that_close_in(1)
    poll = await polls.create_poll(settings=settings)
    async with follow(polls, poll["id"]) as follower:
        closed = await follower.until(lambda event: event.name == "closed")
        delay = time_since_end(settings)

    assert closed.data["status"] == "closed"
    assert delay < MAX_DELAY


@NO_PERIODIC_READS
async def test_frequent_changes_of_another_poll_do_not_delay_closed_event(polls: Polls, redis_url: str) -> None:
    settings = settings_that_close_in(1)
    busy, poll = await polls.create_poll(), await polls.create_poll(settings=settings)

    async def change() -> None:
        async with redis_client(redis_url) as redis:
            while True:
                await redis.publish(POLLS_CHANNEL, [busy["id"]])
                await asyncio.sleep(0.01)

    async with (
        follow(polls, busy["id"]),
        follow(polls, poll["id"]) as follower,
        supervise(web.Application(), "changes", change),
    ):
        closed = await follower.until(lambda event: event.name == "closed")
        delay = time_since_end(settings)

    assert closed.data["status"] == "closed"
    assert delay < MAX_DELAY


async def test_poll_that_closes_during_database_outage_is_sent_afterwards(
    polls: Polls, authority: Authority, database: ClonedDatabase, redis_url: str
) -> None:
    poll = await polls.create_poll(settings=settings_that_close_in(1))
    async with run_proxy(database.admin_url) as postgres:
        proxied_database = database._replace(polls_url=postgres.url(database.polls_url))
        async with run_polls_service(proxied_database, redis_url, authority.base) as disconnected:
            disconnected.token = polls.token
            async with follow(disconnected, poll["id"]) as follower:
                await follower.until(lambda event: event.name == "results")
                with structlog.testing.capture_logs() as logs:
                    postgres.set_mode("refuse")
                    await asyncio.sleep(3.5)
                    postgres.set_mode("ok")
                    closed = await follower.until(lambda event: event.name == "closed")

    assert closed.data["status"] == "closed"
    assert 1 <= sum("were not read" in line["event"] for line in logs) <= 6


async def test_reopened_poll_that_closes_again_sends_closed_event(polls: Polls) -> None:
    poll = await polls.create_poll(**CLOSED)
    async with follow(polls, poll["id"]) as follower:
        await follower.until(lambda event: event.name == "closed")
        await polls.v1("PATCH", f"/polls/{poll['id']}", {"settings": {"endDate": "2999-12-31"}})
        opened = await follower.until(lambda event: event.name == "poll")
        await polls.v1("PATCH", f"/polls/{poll['id']}", CLOSED)
        await follower.until(lambda event: event.name == "closed")

    assert opened.data["status"] == "open"


async def test_stream_ends_before_revocation_of_its_token_is_effective(polls: Polls, authority: Authority) -> None:
    poll = await polls.create_poll()
    issued = await authority.issue("polls:read:PLAT")
    async with follow(polls.with_token(issued["token"]), poll["id"]) as follower:
        await follower.until(lambda event: event.name == "results")
        await authority.revoke(issued["id"])
        await polls.vote(poll["id"], "ada", "y")

        await follower.end()
        assert (await polls.with_token(issued["token"]).v1("GET", f"/polls/{poll['id']}/events")).status == 401


async def test_stream_ends_when_token_loses_results_scope(polls: Polls, authority: Authority) -> None:
    poll = await polls.create_poll(settings={"resultsVisibility": "never"})
    issued = await authority.issue("polls:read,results:PLAT")
    async with follow(polls.with_token(issued["token"]), poll["id"]) as follower:
        assert (await follower.until(lambda event: event.name == "results")).data["votes"] == 0
        await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"scopes": ["polls:read:PLAT"]})
        await polls.vote(poll["id"], "ada", "y")

        await follower.end()


async def test_vote_with_withheld_results_sends_no_event(polls: Polls, authority: Authority) -> None:
    poll = await polls.create_poll(settings={"resultsVisibility": "never"})
    reader = polls.with_token((await authority.issue("polls:read:PLAT"))["token"])
    async with follow(reader, poll["id"]) as follower:
        withheld = await follower.until(lambda event: event.name == "results")
        await polls.vote(poll["id"], "ada", "y")
        await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"}, allow="changeTitle")
        after = await follower.next()

    assert withheld.data["votes"] is None
    assert (after.name, after.id.split(".")[1]) == ("poll", withheld.id.split(".")[1])


@NO_PERIODIC_READS
@pytest.mark.parametrize("first_follower_sees_all", [True, False])
async def test_later_stream_does_not_reveal_time_of_withheld_vote(
    polls: Polls, authority: Authority, *, first_follower_sees_all: bool
) -> None:
    poll = await polls.create_poll(settings={"resultsVisibility": "never"})
    reader = polls.with_token((await authority.issue("polls:read:PLAT"))["token"])
    async with follow(polls if first_follower_sees_all else reader, poll["id"]) as first:
        await first.until(lambda event: event.name == "results")
        await asyncio.sleep(1)
        voting = datetime.now(UTC)
        await polls.vote(poll["id"], "ada", "y")
        await asyncio.sleep(1)
        async with follow(reader, poll["id"]) as second:
            withheld = await second.until(lambda event: event.name == "results")

    assert abs(datetime.fromisoformat(withheld.data["calculatedAt"]) - voting) > timedelta(seconds=0.5)


async def test_stream_without_read_scope_returns_403_or_404(polls: Polls, authority: Authority) -> None:
    poll = await polls.create_poll()
    votes = polls.with_token((await authority.issue("polls:vote:PLAT"))["token"])
    elsewhere = polls.with_token((await authority.issue("polls:*:OTHER"))["token"])

    answers = [await each.v1("GET", f"/polls/{poll['id']}/events") for each in (votes, elsewhere)]

    assert [answer.status for answer in answers] == [403, 404]
