"""Many clients vote at once in a few polls, while the processes that take their ballots are killed in turn."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

import aiohttp

from bench.errors import BenchError
from bench.figures import Figure
from bench.recount import differences, quiet
from bench.site import OPTIONS, Integrator, token_for_everything
from bench.stack import Running, Service, Stack
from bench.voters import Poll, Voters, VotersError

PROCESSES: Final = 4
CLIENTS: Final = 32
KILL_EVERY_S: Final = 3.0
ALONE: Final = 1_000
"""Ballots that one client casts while nobody else does anything, before the others and again after them."""

SETTINGS: Final[Sequence[dict[str, Any]]] = (
    {},
    {"saveParticipantNames": True},
    {"allowRevote": True},
    {"allowRevote": True, "saveParticipantNames": True, "allowSelectionOfMultipleOptions": True},
)
"""Of the polls that are voted in."""


async def contest_figures(stack: Stack, running: Running, ballots: int) -> list[Figure]:
    """Raises `BenchError` where other ballots were counted than were accepted, or anything else went wrong."""
    token = await token_for_everything(running.authority)
    async with AsyncExitStack() as opened:
        session = await opened.enter_async_context(aiohttp.ClientSession())
        services = [
            await opened.enter_async_context(stack.polls(running.url, f"contest-{number}"))
            for number in range(PROCESSES)
        ]
        integrator, ports = Integrator(session, services[0].base, token), [each.port for each in services]
        alone = Voters(await _polls(integrator, "ALONE"), ports[:1], token, seed=1)
        polls = await _polls(integrator, "CONTEST")
        voters = Voters(polls, ports, token, seed=2)
        alone_s = await _voted(alone, 1, lambda: alone.casts >= ALONE)
        async with _kills(services) as kills:
            took_s = await _voted(voters, CLIENTS, lambda: bool(kills) and voters.casts >= ballots)
        alone_s += await _voted(alone, 1, lambda: alone.casts >= 2 * ALONE)
        await quiet(stack.postgres_url)
        results = {poll.id: await integrator("GET", f"/v1/polls/{poll.id}/results") for poll in polls}
        wrong = await differences(voters, polls, results, stack.postgres_url)
    if wrong:
        raise BenchError("not exactly what was accepted was counted: " + "; ".join(wrong))
    return _figures(voters, took_s, len(kills), alone.casts / alone_s)


def _figures(voters: Voters, took_s: float, kills: int, alone_rate: float) -> list[Figure]:
    part, rate = "contest", voters.casts / took_s
    return [
        Figure(part, "ballots accepted, all of them counted", voters.casts, ""),
        Figure(part, "processes killed meanwhile", kills, ""),
        Figure(part, "attempts whose answer was lost", voters.lost, ""),
        Figure(part, f"{CLIENTS} clients, {PROCESSES} processes, with kills", rate, "ballots/s"),
        Figure(part, "one client, one process, undisturbed", alone_rate, "ballots/s"),
        Figure(part, "ratio of the two", rate / alone_rate, ""),
    ]


async def _polls(integrator: Integrator, workspace: str) -> list[Poll]:
    return [
        Poll(
            await integrator.make_poll(workspace, settings),
            [option["id"] for option in OPTIONS],
            settings.get("allowSelectionOfMultipleOptions", False),
            settings.get("allowRevote", False),
        )
        for settings in SETTINGS
    ]


async def _voted(voters: Voters, clients: int, is_over: Callable[[], bool]) -> float:
    """How long it took."""
    started = time.perf_counter()
    try:
        await voters.vote(clients, is_over)
    except ExceptionGroup as errors:
        wrong, _ = errors.split(VotersError)
        raise BenchError(str(wrong.exceptions[0])) if wrong else errors from None
    return time.perf_counter() - started


@asynccontextmanager
async def _kills(services: Sequence[Service]) -> AsyncGenerator[list[Service], None]:
    """One after the other is killed and started again for the length of the block; gives those that were."""
    killed: list[Service] = []

    async def go_round() -> None:
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
    task = asyncio.create_task(go_round())
    try:
        yield killed
    finally:
        ended.set()
        await task
