"""No ballot is lost or counted twice while polls processes are killed. `make bench` casts more ballots."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.contest import differences, wait_until_idle
from bench.voters import Poll, Voters
from tests.faults.cluster_processes import ServiceProcess
from tests.support.databases import ClonedDatabase
from tests.support.ports import take_port
from tests.support.processes import polls_settings
from tests.support.stack import Authority, Polls

pytestmark = [pytest.mark.own_database, pytest.mark.slow]

BALLOTS = 2_000
CLIENTS = 16
OPTIONS = ("red", "green", "blue")
SETTINGS: tuple[dict[str, Any], ...] = (
    {"saveParticipantNames": True},
    {"allowRevote": True, "allowSelectionOfMultipleOptions": True},
)


@pytest.fixture
async def replicas(
    database: ClonedDatabase, redis_url: str, authority: Authority, output: Path
) -> AsyncGenerator[list[ServiceProcess], None]:
    """Run two polls processes."""
    settings = polls_settings(database, redis_url, authority.base)
    processes = [
        ServiceProcess(f"polls-of-voters-{number}", "polls", take_port(), settings, output) for number in range(2)
    ]
    async with AsyncExitStack() as stack:
        for process in processes:
            stack.push_async_callback(asyncio.to_thread, process.end)
            process.start()
        for process in processes:
            await process.ready()
        yield processes


async def test_accepted_ballots_are_counted_exactly_while_processes_are_killed(
    replicas: list[ServiceProcess], database: ClonedDatabase, authority: Authority
) -> None:
    async with aiohttp.ClientSession() as session:
        caller = Polls(session, replicas[0].base)
        caller.token = (await authority.issue())["token"]
        polls = [await _create_poll(caller, settings) for settings in SETTINGS]
        voters = Voters(polls, [process.port for process in replicas], caller.token, seed=1)

        async with asyncio.TaskGroup() as group:
            killing = group.create_task(_kill_each(replicas, voters))
            group.create_task(voters.vote(CLIENTS, lambda: voters.casts >= BALLOTS and killing.done()))

        await wait_until_idle(database.admin_url)
        results = {poll.id: await caller.get_results(poll.id) for poll in polls}
        assert voters.lost > 0
        assert await differences(voters, polls, results, database.admin_url) == []


async def _create_poll(caller: Polls, settings: dict[str, Any]) -> Poll:
    options = [{"id": option, "title": option} for option in OPTIONS]
    made = await caller.create_poll(options=options, settings=settings)
    chosen = made["settings"]
    return Poll(made["id"], OPTIONS, chosen["allowSelectionOfMultipleOptions"], chosen["allowRevote"])


async def _kill_each(replicas: list[ServiceProcess], voters: Voters) -> None:
    """Kill and restart one process after the other, spread over the vote."""
    for number, process in enumerate(replicas, start=1):
        while voters.casts < number * BALLOTS / (len(replicas) + 1):
            await asyncio.sleep(0.01)
        await process.kill()
        await process.restart()
