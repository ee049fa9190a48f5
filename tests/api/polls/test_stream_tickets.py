"""A stream ticket opens the events of one poll once, in place of the token."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from tests.support.logs import capture_log_lines
from tests.support.sse_client import Follower, follow
from tests.support.stack import Answer, Authority, Polls

pytestmark = pytest.mark.shared_services

INVALID = "Invalid ticket: a ticket works once, within 30 seconds, for one stream. Get a new one."


async def get_ticket(polls: Polls, poll_id: str) -> str:
    """Return a new ticket for the events of a poll."""
    answer = await polls.v1("POST", f"/polls/{poll_id}/events/tickets")
    assert (answer.status, answer.json["expiresIn"]) == (201, 30), answer.body
    return str(answer.json["ticket"])


@asynccontextmanager
async def follow_by_ticket(polls: Polls, poll_id: str, ticket: str) -> AsyncGenerator[Follower, None]:
    """Follow a poll by a ticket during the block."""
    async with polls.session.get(f"{polls.base}/v1/polls/{poll_id}/events?ticket={ticket}") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
        yield Follower(response)


async def redeem(polls: Polls, poll_id: str, query: str) -> Answer:
    """Return the refusal of a stream that a ticket does not open."""
    return await polls("GET", f"/v1/polls/{poll_id}/events?{query}")


async def test_ticket_opens_the_stream_of_its_poll(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]

    async with follow_by_ticket(polls, poll_id, await get_ticket(polls, poll_id)) as follower:
        assert (await follower.next()).name == "poll"
        assert (await polls.vote(poll_id, "ada", "y")).status == 201
        await follower.until(lambda event: event.name == "results" and event.data["participants"] == 1)


async def test_ticket_opens_the_stream_of_its_poll_in_any_letter_case(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]

    async with follow_by_ticket(polls, poll_id.upper(), await get_ticket(polls, poll_id)) as follower:
        assert (await follower.next()).name == "poll"


async def test_used_ticket_returns_401(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]
    ticket = await get_ticket(polls, poll_id)
    async with follow_by_ticket(polls, poll_id, ticket):
        answer = await redeem(polls, poll_id, f"ticket={ticket}")

    assert (answer.status, answer.json["detail"]) == (401, INVALID)
    assert ticket not in answer.body.decode()


async def test_ticket_of_another_poll_returns_401(polls: Polls) -> None:
    poll_id, other = [(await polls.create_poll())["id"] for _ in range(2)]

    assert (await redeem(polls, other, f"ticket={await get_ticket(polls, poll_id)}")).status == 401


async def test_ticket_on_another_route_returns_401(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]

    answer = await polls("GET", f"/v1/polls/{poll_id}?ticket={await get_ticket(polls, poll_id)}")

    assert answer.status == 401


@pytest.mark.parametrize("ticket", ["", "x", "pge_" + "0" * 64, "pge_" + "0" * 63 + "%0A"])
async def test_unknown_ticket_returns_401(polls: Polls, ticket: str) -> None:
    poll_id = (await polls.create_poll())["id"]

    assert (await redeem(polls, poll_id, f"ticket={ticket}")).status == 401


async def test_expired_ticket_returns_401(polls: Polls, redis_url: str) -> None:
    poll_id = (await polls.create_poll())["id"]
    ticket = await get_ticket(polls, poll_id)
    async with Redis.from_url(redis_url) as redis:
        (key,) = await redis.keys("pollgate:ticket:*")
        assert 0 < await redis.ttl(key) <= 30
        await redis.expire(key, 0)

    assert (await redeem(polls, poll_id, f"ticket={ticket}")).status == 401


async def test_redis_holds_neither_ticket_nor_token(polls: Polls, redis_url: str) -> None:
    poll_id = (await polls.create_poll())["id"]
    ticket = await get_ticket(polls, poll_id)
    async with Redis.from_url(redis_url) as redis:
        (key,) = await redis.keys("pollgate:ticket:*")
        stored = repr((key, await redis.get(key)))

    for secret in (ticket.removeprefix("pge_"), repr(bytes.fromhex(ticket.removeprefix("pge_")))[2:-1], polls.token):
        assert secret not in stored


@pytest.mark.parametrize("query", ["ticket={ticket}&ticket={ticket}", "ticket={ticket}&token={token}"])
async def test_ticket_with_another_credential_returns_400(polls: Polls, query: str) -> None:
    poll_id = (await polls.create_poll())["id"]
    sent = query.format(ticket=await get_ticket(polls, poll_id), token=polls.token)

    assert (await redeem(polls, poll_id, sent)).status == 400


async def test_ticket_for_a_token_in_the_url_returns_403(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]

    answer = await polls("POST", f"/v1/polls/{poll_id}/events/tickets?token={polls.token}")

    assert (answer.status, answer.json["type"]) == (403, "/docs/problems/query-not-allowed")


async def test_ticket_without_permission_returns_403_or_404(authority: Authority, polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]

    for scope, status in (("polls:vote:PLAT", 403), ("polls:read:OTHER", 404)):
        other = polls.with_token((await authority.issue(scope))["token"])
        assert (await other.v1("POST", f"/polls/{poll_id}/events/tickets")).status == status


async def test_stream_of_a_ticket_ends_with_its_token(authority: Authority, polls: Polls) -> None:
    issued = await authority.issue()
    reader = polls.with_token(issued["token"])
    poll_id = (await polls.create_poll())["id"]

    async with follow_by_ticket(polls, poll_id, await get_ticket(reader, poll_id)) as follower:
        await follower.next()
        await authority.revoke(issued["id"])
        async with asyncio.timeout(10):
            await follower.end()


async def test_ticket_of_a_revoked_token_returns_401(authority: Authority, polls: Polls) -> None:
    issued = await authority.issue()
    poll_id = (await polls.create_poll())["id"]
    ticket = await get_ticket(polls.with_token(issued["token"]), poll_id)
    await authority.revoke(issued["id"])

    assert (await redeem(polls, poll_id, f"ticket={ticket}")).status == 401


async def test_ticket_of_a_token_for_the_header_only_opens_the_stream(authority: Authority, polls: Polls) -> None:
    reader = polls.with_token((await authority.issue(allow_query=False))["token"])
    poll_id = (await polls.create_poll())["id"]

    async with follow_by_ticket(polls, poll_id, await get_ticket(reader, poll_id)) as follower:
        assert (await follower.next()).name == "poll"


async def test_ticket_counts_against_the_rate_limit_of_its_token(authority: Authority, polls: Polls) -> None:
    reader = polls.with_token((await authority.issue(rate_limit=1))["token"])
    poll_id = (await polls.create_poll())["id"]

    answer = await redeem(polls, poll_id, f"ticket={await get_ticket(reader, poll_id)}")

    assert answer.status == 429


async def test_token_still_opens_the_stream(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]

    async with follow(polls, poll_id) as follower:
        assert (await follower.next()).name == "poll"


async def test_ticket_is_in_no_log(polls: Polls) -> None:
    with capture_log_lines() as logs:
        poll_id = (await polls.create_poll())["id"]
        ticket = await get_ticket(polls, poll_id)
        await redeem(polls, poll_id, f"ticket={ticket}&token={polls.token}")
        await polls("GET", f"/v1/polls/{ticket}", headers={"X-Request-ID": ticket, "If-None-Match": ticket})

    assert "/v1/polls/{id}/events" in [line.get("route") for line in logs]
    assert ticket not in str(logs)
