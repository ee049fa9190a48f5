"""Let many clients vote at once in a few polls while the polls processes are killed one after the other.

At the end, the accepted ballots are compared with the service's results and with the rows in the database.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

import aiohttp
import asyncpg

from bench.errors import BenchError
from bench.report import Figure
from bench.site import OPTIONS, Integrator, create_full_token
from bench.stack import Running, Service, Stack
from bench.voters import Poll, Tally, Voters, VotersError

PROCESSES: Final = 4
CLIENTS: Final = 32
KILL_EVERY_S: Final = 3.0
BASELINE: Final = 1_000
"""Ballots that a single client casts before the contest, and again after it."""

SETTINGS: Final[Sequence[dict[str, Any]]] = (
    {},
    {"saveParticipantNames": True},
    {"allowRevote": True},
    {"allowRevote": True, "saveParticipantNames": True, "allowSelectionOfMultipleOptions": True},
)
"""The settings of the polls of the contest."""


async def contest_figures(stack: Stack, running: Running, ballots: int) -> list[Figure]:
    """Run the contest. Raise `BenchError` if the counted ballots differ from the accepted ones."""
    token = await create_full_token(running.authority)
    async with AsyncExitStack() as opened:
        session = await opened.enter_async_context(aiohttp.ClientSession())
        services = [
            await opened.enter_async_context(stack.polls(running.url, f"contest-{number}"))
            for number in range(PROCESSES)
        ]
        integrator, ports = Integrator(session, services[0].base, token), [each.port for each in services]
        single = Voters(await _polls(integrator, "BASELINE"), ports[:1], token, seed=1)
        polls = await _polls(integrator, "CONTEST")
        voters = Voters(polls, ports, token, seed=2)
        single_s = await _vote(single, 1, lambda: single.casts >= BASELINE)
        async with _kills(services) as kills:
            took_s = await _vote(voters, CLIENTS, lambda: bool(kills) and voters.casts >= ballots)
        single_s += await _vote(single, 1, lambda: single.casts >= 2 * BASELINE)
        await wait_until_idle(stack.postgres_url)
        results = {poll.id: await integrator("GET", f"/v1/polls/{poll.id}/results") for poll in polls}
        wrong = await differences(voters, polls, results, stack.postgres_url)
    if wrong:
        raise BenchError("the counted ballots differ from the accepted ones: " + "; ".join(wrong))
    return _figures(voters, took_s, len(kills), single.casts / single_s)


def _figures(voters: Voters, took_s: float, kills: int, single_rate: float) -> list[Figure]:
    part, rate = "contest", voters.casts / took_s
    return [
        Figure(part, "ballots accepted, all of them counted", voters.casts, ""),
        Figure(part, "processes killed", kills, ""),
        Figure(part, "attempts whose response was lost", voters.lost, ""),
        Figure(part, f"{CLIENTS} clients, {PROCESSES} processes, with kills", rate, "ballots/s"),
        Figure(part, "one client, one process, undisturbed", single_rate, "ballots/s"),
        Figure(part, "ratio of the two", rate / single_rate, ""),
    ]


async def _polls(integrator: Integrator, workspace: str) -> list[Poll]:
    return [
        Poll(
            await integrator.create_poll(workspace, settings),
            [option["id"] for option in OPTIONS],
            settings.get("allowSelectionOfMultipleOptions", False),
            settings.get("allowRevote", False),
        )
        for settings in SETTINGS
    ]


async def _vote(voters: Voters, clients: int, is_over: Callable[[], bool]) -> float:
    """Return the seconds until it is over. Raise `BenchError` for the first error of a voter."""
    started = time.perf_counter()
    try:
        await voters.vote(clients, is_over)
    except ExceptionGroup as errors:
        wrong, _ = errors.split(VotersError)
        raise BenchError(str(wrong.exceptions[0])) if wrong else errors from None
    return time.perf_counter() - started


@asynccontextmanager
async def _kills(services: Sequence[Service]) -> AsyncGenerator[list[Service], None]:
    """Kill and restart the services one after the other during the block. Yield the list of those killed so far."""
    killed: list[Service] = []

    async def kill_in_turn() -> None:
        for service in itertools.cycle(services):
            with suppress(TimeoutError):
                async with asyncio.timeout(KILL_EVERY_S):
                    await ended.wait()
            if ended.is_set():
                return
            await service.kill()
            killed.append(service)
            await service.start()

    ended = asyncio.Event()
    task = asyncio.create_task(kill_in_turn())
    try:
        yield killed
    finally:
        ended.set()
        await task


IDLE_LIMIT_S: Final = 20.0
_BUSY: Final = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'polls' AND state <> 'idle'
"""
_BALLOTS: Final = "SELECT participant, option_ids FROM polls.ballot WHERE poll_id = $1::text::uuid"
_DEADLOCKS: Final = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


async def differences(
    voters: Voters, polls: Sequence[Poll], results: Mapping[str, Any], postgres_url: str
) -> list[str]:
    """Return a sentence for each difference. `results` are the service's results by poll id."""
    connection = await asyncpg.connect(postgres_url)
    try:
        found = []
        for poll in polls:
            stored = [
                (row["participant"], tuple(row["option_ids"])) for row in await connection.fetch(_BALLOTS, poll.id)
            ]
            found += _differences(poll, voters, results[poll.id], stored)
        deadlocks = await connection.fetchval(_DEADLOCKS)
    finally:
        await connection.close()
    return found + ([f"there were {deadlocks} deadlocks"] if deadlocks else [])


async def wait_until_idle(postgres_url: str) -> None:
    """Return when no statement of the polls service is running, including those of killed processes."""
    connection = await asyncpg.connect(postgres_url)
    try:
        async with asyncio.timeout(IDLE_LIMIT_S):
            while await connection.fetchval(_BUSY):
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


def _differences(
    poll: Poll, voters: Voters, results: Any, stored: Sequence[tuple[str | None, tuple[str, ...]]]
) -> list[str]:
    accepted, counted = voters.tally(poll), _tally_of(results)
    selected = Tally.of([option_ids for _, option_ids in stored])
    found = []
    if counted != accepted:
        found.append(f"the results of {poll.id} are {counted}, but {accepted} were accepted")
    if selected != accepted:
        found.append(f"the ballots of {poll.id} add up to {selected}, but {accepted} were accepted")
    ballots = voters.ballots(poll)
    if Counter(ballots.values()) != Counter(option_ids for _, option_ids in stored):
        found.append(f"the ballots of {poll.id} are not those that were accepted")
    if any(participant is not None and ballots.get(participant) != option_ids for participant, option_ids in stored):
        found.append(f"ballots of {poll.id} are stored for participants who did not cast them")
    return found


def _tally_of(results: Any) -> Tally:
    counts = {option["id"]: option["votes"] for option in results["options"] if option["votes"]}
    return Tally(results["participants"], results["votes"], counts)
