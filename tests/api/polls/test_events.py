"""`GET /v1/polls/{id}/events`: a poll as it changes, in every replica, until its token or the poll is no more."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from aiohttp import web

from services.polls.operations.feed import POLLS_CHANNEL
from shared.runtime.process.supervised import supervised
from shared.runtime.redis.client import redis_client
from tests.support.databases import ClonedDatabase
from tests.support.following import following
from tests.support.proxy import proxied
from tests.support.stack import Authority, Polls, polls_service

pytestmark = pytest.mark.shared_services

CLOSED = {"settings": {"endDate": "2026-01-01", "closePollOnEndDate": True}}
NO_LOOKS = pytest.mark.parametrize("polls_limits", [{"look_s": 3600.0}], ids=["no looks"])
AT_ONCE = timedelta(seconds=5)
"""And not at the next look, which does not come."""


def closing_in(seconds: float) -> dict[str, Any]:
    """The settings of a poll that closes by itself."""
    return {"endDate": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(), "closePollOnEndDate": True}


def since(settings: dict[str, Any]) -> timedelta:
    """How long ago such a poll has closed."""
    return datetime.now(UTC) - datetime.fromisoformat(settings["endDate"])


async def test_a_follower_is_told_of_the_poll_as_it_is_and_as_it_changes(polls: Polls) -> None:
    poll = await polls.make()
    async with following(polls, poll["id"]) as follower:
        first, second = await follower.next(), await follower.next()
        await polls.vote(poll["id"], "ada", "y")
        voted = await follower.next()
        await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"})
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


async def test_replicas_tell_each_other(
    polls: Polls, authority: Authority, database: ClonedDatabase, redis_url: str
) -> None:
    poll = await polls.make()
    async with polls_service(database, redis_url, authority.base) as other:
        other.token = polls.token
        async with following(other, poll["id"]) as follower:
            await follower.until(lambda event: event.name == "results")
            await polls.vote(poll["id"], "ada", "y")

            assert (await follower.until(lambda event: event.name == "results")).data["votes"] == 1


async def test_a_follower_goes_on_where_it_was(polls: Polls) -> None:
    poll = await polls.make()
    async with following(polls, poll["id"]) as follower:
        last = await follower.until(lambda event: event.name == "results")

    async with following(polls, poll["id"], last.id) as follower:
        with pytest.raises(TimeoutError):
            await follower.next(within_s=0.5)
    await polls.vote(poll["id"], "ada", "y")
    async with following(polls, poll["id"], last.id) as follower:
        missed = await follower.next()
    await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"})
    async with following(polls, poll["id"], missed.id) as follower:
        edited = await follower.next()

    assert (missed.name, missed.data["votes"]) == ("results", 1)
    assert (edited.name, edited.data["title"]) == ("poll", "Dinner?")


async def test_an_id_that_is_none_of_ours_begins_anew(polls: Polls, subtests: pytest.Subtests) -> None:
    for last in ["x", "1", "..", "9.9.9", "é", "1.2.3.4", "0" * 1000]:
        with subtests.test(last=last[:20]):
            poll = await polls.make()

            async with following(polls, poll["id"], last) as follower:
                first = await follower.next()

            assert first.name == "poll"


@NO_LOOKS
async def test_a_poll_that_closes_by_itself_is_told_of_at_once(polls: Polls) -> None:
    settings = closing_in(1)
    poll = await polls.make(settings=settings)
    async with following(polls, poll["id"]) as follower:
        closed = await follower.until(lambda event: event.name == "closed")
        late = since(settings)

    assert closed.data["status"] == "closed"
    assert late < AT_ONCE


@NO_LOOKS
async def test_that_other_polls_change_all_the_time_does_not_put_off_that_one_closes(
    polls: Polls, redis_url: str
) -> None:
    settings = closing_in(1)
    busy, poll = await polls.make(), await polls.make(settings=settings)

    async def change() -> None:
        async with redis_client(redis_url) as redis:
            while True:
                await redis.publish(POLLS_CHANNEL, busy["id"])
                await asyncio.sleep(0.01)

    async with (
        following(polls, busy["id"]),
        following(polls, poll["id"]) as follower,
        supervised(web.Application(), "changes", change),
    ):
        closed = await follower.until(lambda event: event.name == "closed")
        late = since(settings)

    assert closed.data["status"] == "closed"
    assert late < AT_ONCE


async def test_a_poll_that_closes_while_the_database_is_away_is_told_of_when_it_is_back(
    polls: Polls, authority: Authority, database: ClonedDatabase, redis_url: str
) -> None:
    poll = await polls.make(settings=closing_in(1))
    async with proxied(database.admin_url) as postgres:
        behind = database._replace(polls_url=postgres.url(database.polls_url))
        async with polls_service(behind, redis_url, authority.base) as cut_off:
            cut_off.token = polls.token
            async with following(cut_off, poll["id"]) as follower:
                await follower.until(lambda event: event.name == "results")
                with structlog.testing.capture_logs() as logs:
                    postgres.become("refuse")
                    await asyncio.sleep(3.5)
                    postgres.become("ok")
                    closed = await follower.until(lambda event: event.name == "closed")

    assert closed.data["status"] == "closed"
    assert 1 <= sum("were not read" in line["event"] for line in logs) <= 6


async def test_a_poll_that_is_opened_again_is_told_of_when_it_closes_again(polls: Polls) -> None:
    poll = await polls.make(**CLOSED)
    async with following(polls, poll["id"]) as follower:
        await follower.until(lambda event: event.name == "closed")
        await polls.v1("PATCH", f"/polls/{poll['id']}", {"settings": {"endDate": "2999-12-31"}})
        opened = await follower.until(lambda event: event.name == "poll")
        await polls.v1("PATCH", f"/polls/{poll['id']}", CLOSED)
        await follower.until(lambda event: event.name == "closed")

    assert opened.data["status"] == "open"


async def test_the_stream_ends_before_the_revocation_of_its_token_is_answered(
    polls: Polls, authority: Authority
) -> None:
    poll = await polls.make()
    issued = await authority.issue("polls:read:PLAT")
    async with following(polls.holding(issued["token"]), poll["id"]) as follower:
        await follower.until(lambda event: event.name == "results")
        await authority.revoke(issued["id"])
        await polls.vote(poll["id"], "ada", "y")

        await follower.end()
        assert (await polls.holding(issued["token"]).v1("GET", f"/polls/{poll['id']}/events")).status == 401


async def test_whoever_may_no_longer_see_all_results_is_not_told_of_them(polls: Polls, authority: Authority) -> None:
    poll = await polls.make(settings={"resultsVisibility": "never"})
    issued = await authority.issue("polls:read,results:PLAT")
    async with following(polls.holding(issued["token"]), poll["id"]) as follower:
        assert (await follower.until(lambda event: event.name == "results")).data["votes"] == 0
        await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"scopes": ["polls:read:PLAT"]})
        await polls.vote(poll["id"], "ada", "y")

        await follower.end()


async def test_votes_whose_results_are_withheld_are_not_told_of(polls: Polls, authority: Authority) -> None:
    poll = await polls.make(settings={"resultsVisibility": "never"})
    reader = polls.holding((await authority.issue("polls:read:PLAT"))["token"])
    async with following(reader, poll["id"]) as follower:
        withheld = await follower.until(lambda event: event.name == "results")
        await polls.vote(poll["id"], "ada", "y")
        await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"})
        after = await follower.next()

    assert withheld.data["votes"] is None
    assert (after.name, after.id.split(".")[1]) == ("poll", withheld.id.split(".")[1])


@NO_LOOKS
@pytest.mark.parametrize("is_followed_by_one_who_sees_all", [True, False])
async def test_whoever_joins_later_does_not_learn_when_withheld_votes_were_cast(
    polls: Polls, authority: Authority, *, is_followed_by_one_who_sees_all: bool
) -> None:
    poll = await polls.make(settings={"resultsVisibility": "never"})
    reader = polls.holding((await authority.issue("polls:read:PLAT"))["token"])
    async with following(polls if is_followed_by_one_who_sees_all else reader, poll["id"]) as first:
        await first.until(lambda event: event.name == "results")
        await asyncio.sleep(1)
        voting = datetime.now(UTC)
        await polls.vote(poll["id"], "ada", "y")
        await asyncio.sleep(1)
        async with following(reader, poll["id"]) as second:
            withheld = await second.until(lambda event: event.name == "results")

    assert abs(datetime.fromisoformat(withheld.data["calculatedAt"]) - voting) > timedelta(seconds=0.5)


async def test_a_poll_that_cannot_be_read_cannot_be_followed(polls: Polls, authority: Authority) -> None:
    poll = await polls.make()
    votes = polls.holding((await authority.issue("polls:vote:PLAT"))["token"])
    elsewhere = polls.holding((await authority.issue("polls:*:OTHER"))["token"])

    answers = [await each.v1("GET", f"/polls/{poll['id']}/events") for each in (votes, elsewhere)]

    assert [answer.status for answer in answers] == [403, 404]
