"""What reading polls costs: one of them with and without the guard, and fifty of them with their results."""

from typing import Final

import aiohttp

from bench.cores import apart
from bench.errors import BenchError
from bench.figures import Figure
from bench.rounds import Kind, RoundsOrder, ratio, send_rounds
from bench.site import Integrator, token_for_everything
from bench.stack import Running, Stack
from bench.statements import statements_sent

CONNECTIONS: Final = 32
ROUND_S: Final = 0.5
ALONE: Final = 200
"""Requests, one at a time, over which statements are counted."""
LISTED: Final = 50


async def guard_figures(stack: Stack, running: Running, rounds: int, least: float) -> list[Figure]:
    """`GET /v1/polls/{id}` with its token in the guard's cache, and the same handler without a guard, turn about."""
    token = await token_for_everything(running.authority)
    (site,) = await running.authority.list_sites()
    async with (
        stack.polls(running.url, "guarded") as guarded,
        stack.polls(running.url, "unguarded", "bench.unguarded", UNGUARDED_SITE=site.id) as unguarded,
        aiohttp.ClientSession() as session,
    ):
        integrator = Integrator(session, guarded.base, token)
        path = f"/v1/polls/{await integrator.make_poll('GUARD')}"
        async with statements_sent(session, guarded.base) as sent:
            for _ in range(ALONE):
                await integrator("GET", path)
        kinds = [Kind(each.port, each.pid or 0, path, token) for each in (guarded, unguarded)]
        with apart([kind.pid for kind in kinds], [stack.postgres_pid]) as core:
            with_guard, without = await send_rounds(RoundsOrder(kinds, CONNECTIONS, rounds, ROUND_S, core))
    part = "one poll"
    return [
        Figure(part, "without the guard", without.rate, "requests/s"),
        Figure(part, "with the guard, token cached", with_guard.rate, "requests/s"),
        Figure(part, "ratio of the two", ratio(with_guard.rates, without.rates), "", least=least),
        Figure(part, "ratio by the server's processor time", ratio(without.server_us, with_guard.server_us), ""),
        Figure(part, "processor time without the guard", without.server_median_us, "µs"),
        Figure(part, "processor time with the guard", with_guard.server_median_us, "µs"),
        Figure(part, "of its core the guarded server had", with_guard.busy * 100, "%"),
        Figure(part, "its statement, one request at a time", sent["select_poll"].mean_ms, "ms"),
        Figure(part, "statements a request", sum(each.times for each in sent.values()) / ALONE, "", most=1),
    ]


async def listing_figures(stack: Stack, running: Running, rounds: int) -> list[Figure]:
    """A list of fifty polls with their results, and one poll, turn about."""
    token = await token_for_everything(running.authority)
    async with stack.polls(running.url, "listing") as polls, aiohttp.ClientSession() as session:
        integrator = Integrator(session, polls.base, token)
        poll_ids = [await integrator.make_poll("LIST") for _ in range(LISTED)]
        for number, poll_id in enumerate(poll_ids):
            for voter in range(3):
                await integrator.vote(poll_id, f"voter-{voter}", f"option-{1 + (number + voter) % 5}")
        one, many = f"/v1/polls/{poll_ids[0]}", f"/v1/polls?workspace=LIST&expand=results&limit={LISTED}"
        async with statements_sent(session, polls.base) as sent:
            listed = await integrator("GET", many)
        if len(listed["items"]) != LISTED or listed["items"][-1]["results"]["participants"] != 3:
            raise BenchError("the list does not hold every poll with its results")
        kinds = [Kind(polls.port, polls.pid or 0, path, token) for path in (one, many)]
        with apart([polls.pid or 0], [stack.postgres_pid]) as core:
            single, whole = await send_rounds(RoundsOrder(kinds, CONNECTIONS, rounds, ROUND_S, core))
    part = f"{LISTED} polls"
    return [
        Figure(part, "one poll", single.rate, "requests/s"),
        Figure(part, "a list of them with results", whole.rate, "requests/s"),
        Figure(part, "cost of a list in requests of one poll", ratio(single.rates, whole.rates), ""),
        Figure(part, "statements a list", sum(each.times for each in sent.values()), "", most=1),
        Figure(part, "its statement", sent["list_polls"].mean_ms, "ms"),
    ]
