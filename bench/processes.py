"""Measure a whole process: how long its start takes, what a second worker brings, and what a revocation costs."""

import asyncio
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import aiohttp
import psutil

from bench.report import Figure
from bench.revocation import REST_S, Spread, connect_bench
from bench.rounds import RequestKind, RoundsOrder, bearer, ratio, send_rounds
from bench.site import Integrator, create_full_token
from bench.stack import Running, Stack

STARTS: Final = 7
MOST_START_S: Final = 0.4
CONNECTIONS: Final = 32
ROUND_S: Final = 0.5
GUARDS: Final = 4
REVOCATIONS: Final = 200
LOAD_RATE: Final = 200.0
MOST_ANSWER_P50_MS: Final = 5.0
MOST_ANSWER_P99_MS: Final = 10.0


async def start_figures(stack: Stack, running: Running) -> list[Figure]:
    """Measure how long each service takes from its launch until it is ready."""
    figures = []
    for name, module in (("token authority", "services.token_authority"), ("polls", "services.polls")):
        times = [await stack.start_time_s(running.url, f"start-{name}", module) for _ in range(STARTS)]
        figures.append(Figure("start", f"{name}, to ready", statistics.median(times), "s", most=MOST_START_S))
    return figures


async def worker_figures(stack: Stack, running: Running, rounds: int) -> list[Figure]:
    """Measure `GET` of one poll by a service with one worker and with two, which share the cores with the client."""
    token = await create_full_token(running.authority)
    async with (
        stack.polls(running.url, "one-worker") as one,
        stack.polls(running.url, "two-workers", POLLS_WORKERS="2") as two,
        aiohttp.ClientSession() as session,
    ):
        poll_ids = [await Integrator(session, one.base, token).create_poll("WORKERS") for _ in range(CONNECTIONS)]
        paths = [f"/v1/polls/{poll_id}" for poll_id in poll_ids]
        kinds = [
            RequestKind(port=each.port, pid=each.pid or 0, paths=paths, headers=bearer(token)) for each in (one, two)
        ]
        with_one, with_two = await send_rounds(RoundsOrder(kinds, CONNECTIONS, rounds, ROUND_S))
    part = "workers"
    return [
        Figure(part, "one worker", with_one.rate, "requests/s"),
        Figure(part, "two workers", with_two.rate, "requests/s"),
        Figure(part, "ratio of the two", ratio(with_two.rates, with_one.rates), ""),
    ]


async def revocation_figures(stack: Stack) -> list[Figure]:
    """Measure the answer to a revocation with four guards, idle and under load, and its processor time."""
    figures = []
    async with stack.services(GUARDS, "-revoked") as running:
        await asyncio.sleep(1)
        figures += await _measure_answers(running, "idle")
        figures.append(await _measure_cost(stack, running))
        async with stack.load(running, LOAD_RATE):
            figures += await _measure_answers(running, f"with {LOAD_RATE:.0f} reads/s")
    return figures


async def _measure_answers(running: Running, situation: str) -> list[Figure]:
    async with connect_bench(running, REST_S) as bench:
        spread = Spread.of([await bench.answer_ms() for _ in range(REVOCATIONS)])
    part, what = "revocation", f"answer with {GUARDS} guards, {situation}"
    return [
        Figure(part, f"{what}: p50", spread.median, "ms", most=MOST_ANSWER_P50_MS),
        Figure(part, f"{what}: p99", spread.p99, "ms", most=MOST_ANSWER_P99_MS),
    ]


async def _measure_cost(stack: Stack, running: Running) -> Figure:
    """Measure the processor time of all processes from a revocation to its answer, less what they take anyway."""
    pids = [running.service.pid or 0, *running.guard_pids, *stack.server_pids]
    began, before = time.perf_counter(), busy_s(pids)
    await asyncio.sleep(5)
    idle_share = (busy_s(pids) - before) / (time.perf_counter() - began)
    taken_s = 0.0
    async with connect_bench(running, REST_S) as bench:
        for _ in range(REVOCATIONS):
            token = await bench.cached_token()
            began, before = time.perf_counter(), busy_s(pids)
            await bench.revoke(token)
            taken_s += busy_s(pids) - before - idle_share * (time.perf_counter() - began)
    what = f"processor time of one with {GUARDS} guards, all processes"
    return Figure("revocation", what, taken_s / REVOCATIONS * 1000, "ms")


def busy_s(pids: Iterable[int]) -> float:
    """Return the time for which the threads of the processes and of their children have run."""
    return sum(busy_s_by_thread(pids).values())


def busy_s_by_thread(pids: Iterable[int]) -> dict[str, float]:
    """Return the time for which each thread of the processes and of their children has run."""
    processes = [each for pid in pids for each in (pid, *(c.pid for c in psutil.Process(pid).children(recursive=True)))]
    files = [file for pid in processes for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return {str(file): int(file.read_text().split()[0]) / 1_000_000_000 for file in files}
