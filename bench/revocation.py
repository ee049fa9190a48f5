"""`python -m bench.revocation`: measure how long a revocation takes on one machine, as its caller sees it.

For 1, 4 and 8 guards, each a polls process, with one token authority, it measures in two separate passes:

1. The answer: from sending a revocation to its answer, which the authority sends when all guards have confirmed.
2. The first refusal: from sending a revocation to the first refusal by the slowest guard. All guards together are asked
   `ASKED_PER_S` times per second, each one request at a time, so a time is too long by up to that interval. These
   requests take processor time from the authority and the guards. That is why the passes are separate.

Each pass is measured idle, under a steady load of reads from another process, and with Redis stopped. Without Redis,
guards learn of a revocation by the sync, every fifth of the lease; each revocation begins at a random phase of that
interval. Every sample counts, including the first after a start. Each answer must say that all guards have confirmed,
and no request sent after the answer may be accepted.
"""

import asyncio
import math
import os
import platform
import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec
from cyclopts import App, Parameter
from msgspec import Struct

from bench.errors import BenchError
from bench.load import ACCEPTED, REFUSED, Connection, connect
from bench.report import Conditions, align_rows, describe_machine, report_progress, run
from bench.stack import Running, Stack, start_stack
from pollgate.client import Guards, IssuedToken

LEASE_S: Final = 5.0
SYNC_EVERY_S: Final = LEASE_S / 5
ASKED_PER_S: Final = 1000
AWAY_ASKED_PER_S: Final = 100
"""Without Redis, where times are around a second and need no millisecond precision."""

Situation = Literal["idle", "load", "redis-away"]
SITUATIONS: Final[tuple[Situation, ...]] = get_args(Situation)

REST_S: Final = (0.03, 0.06)
"""Between revocations, drawn at random: until the guards have read the log a second time."""

app = App(name="bench.revocation", help="Measure how long a revocation takes.", version_flags=[])

_HEAD = ("guards", "situation", "n", "answer: median", "p99", "max", "first refusal: median", "p99", "max")


class Spread(Struct, frozen=True):
    """The distribution of durations in milliseconds. The p99 is by nearest rank."""

    median: float
    p99: float
    max: float

    @classmethod
    def of(cls, durations_ms: Sequence[float]) -> "Spread":
        """Return the distribution of these durations."""
        ordered = sorted(durations_ms)
        median, p99 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.99))
        return cls(round(median, 2), round(p99, 2), round(ordered[-1], 2))


class Row(Struct, frozen=True):
    """One situation with one number of guards: `revocations` in each of the two passes."""

    guards: int
    situation: str
    revocations: int
    answer_ms: Spread
    first_refusal_ms: Spread


class Report(Conditions, frozen=True):
    """The result of a run, and what it was measured on."""

    lease_s: float
    load_rate: float
    rows: Sequence[Row]

    def text(self) -> str:
        """Return a line about the conditions, and the table."""
        conditions = (
            f"{self.conditions}; lease {self.lease_s:g} s; n revocations per pass; "
            f"load {self.load_rate:g} reads/s over all guards; "
            "times in ms"
        )
        return "\n".join((conditions, "", *align_rows([_HEAD, *map(_cells, self.rows)])))


def _cells(row: Row) -> tuple[str, ...]:
    spreads = (row.answer_ms, row.first_refusal_ms)
    times = [f"{value:.1f}" for spread in spreads for value in (spread.median, spread.p99, spread.max)]
    return (str(row.guards), row.situation, str(row.revocations), *times)


class Plan(msgspec.Struct, frozen=True):
    """The options of a run."""

    guards: tuple[int, ...]
    situations: tuple[Situation, ...]
    revocations: int
    away_revocations: int
    load_rate: float


@app.default
def main(
    *,
    guards: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative="")] = (1, 4, 8),
    situations: Annotated[tuple[Situation, ...], Parameter(consume_multiple=True, negative="")] = SITUATIONS,
    revocations: int = 200,
    away_revocations: int = 30,
    load_rate: float = 200.0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Measure how long a revocation takes.

    Parameters
    ----------
    guards
        Numbers of polls processes, measured one after the other.
    situations
        Which situations to measure.
    revocations
        Revocations in each pass.
    away_revocations
        Revocations in each pass while Redis is away.
    load_rate
        Reads per second over all guards together, under load.
    as_json
        Print JSON instead of the table.
    """
    plan = Plan(guards, situations, revocations, away_revocations, load_rate)
    report = run(lambda folder: _measure(plan, folder))
    print(msgspec.json.encode(report).decode() if as_json else report.text())


async def _measure(plan: Plan, folder: Path) -> Report:
    report_progress("starting PostgreSQL")
    async with start_stack(folder, LEASE_S) as stack:
        rows = [row for guards in plan.guards for row in await _measure_situations(stack, guards, plan)]
        postgres, redis = await stack.versions()
    return Report(
        machine=describe_machine(),
        cores=os.cpu_count() or 0,
        python=platform.python_version(),
        postgres=postgres,
        redis=redis,
        lease_s=LEASE_S,
        load_rate=plan.load_rate,
        rows=rows,
    )


async def _measure_situations(stack: Stack, guards: int, plan: Plan) -> list[Row]:
    """Measure the situations one after the other. Redis is stopped last, and started again for the next guards."""
    rows = []
    async with AsyncExitStack() as redis:
        await redis.enter_async_context(stack.redis())
        async with stack.services(guards) as running:
            await asyncio.sleep(1)
            if "idle" in plan.situations:
                rows.append(await _measure_situation("idle", running, plan))
            if "load" in plan.situations:
                async with stack.load(running, plan.load_rate):
                    rows.append(await _measure_situation("load", running, plan))
            if "redis-away" in plan.situations:
                await redis.aclose()
                await asyncio.sleep(1)
                rows.append(await _measure_situation("redis-away", running, plan))
    return rows


async def _measure_situation(situation: Situation, running: Running, plan: Plan) -> Row:
    guards, away = len(running.guards), situation == "redis-away"
    times = plan.away_revocations if away else plan.revocations
    ask_every_s = guards / (AWAY_ASKED_PER_S if away else ASKED_PER_S)
    async with connect_bench(running, (0.0, SYNC_EVERY_S) if away else REST_S) as bench:
        report_progress(f"{guards} guards, {situation}: answers to {times} revocations")
        answers = [await bench.answer_ms() for _ in range(times)]
        report_progress(f"{guards} guards, {situation}: first refusals after {times} revocations")
        refusals = [await bench.refusal_ms(ask_every_s) for _ in range(times)]
    return Row(guards, situation, times, Spread.of(answers), Spread.of(refusals))


class Bench:
    """Revokes tokens that every guard has in its cache, after a random rest between the bounds `rest_s`."""

    def __init__(self, running: Running, guards: Sequence[Connection], rest_s: tuple[float, float]) -> None:
        self._running = running
        self._guards = guards
        self._rest_s = rest_s

    async def answer_ms(self) -> float:
        """Return the time from sending a revocation to its answer, which says that every guard has confirmed it."""
        token = await self.cached_token()
        sent_at = time.perf_counter()
        answered_at = await self.revoke(token)
        return (answered_at - sent_at) * 1000

    async def refusal_ms(self, ask_every_s: float) -> float:
        """Return the time from sending a revocation to the first refusal by the slowest guard.

        Each guard is asked every `ask_every_s` seconds.
        """
        token = await self.cached_token()
        sent_at = time.perf_counter()
        asked = [self._ask_until_refused(guard, token, ask_every_s) for guard in range(len(self._guards))]
        answered_at, times = await asyncio.gather(self.revoke(token), asyncio.gather(*asked))
        if max(accepted_at for accepted_at, _ in times) > answered_at:
            raise BenchError("a request sent after the revocation's answer was accepted, which must not happen")
        return (max(refused_at for _, refused_at in times) - sent_at) * 1000

    async def cached_token(self) -> IssuedToken:
        """Return a new token that every guard has in its cache."""
        token = await self._running.authority.create_token("To be revoked", ["polls:read:PLAT"])
        for _ in range(2):
            statuses = [await guard.get(self._request(index, token)) for index, guard in enumerate(self._guards)]
            if set(statuses) != {ACCEPTED}:
                raise BenchError(f"an active token got the statuses {statuses}")
        await asyncio.sleep(random.uniform(*self._rest_s))
        return token

    async def revoke(self, token: IssuedToken) -> float:
        """Revoke the token and return when the answer came. Raise `BenchError` unless every guard has confirmed."""
        revocation = await self._running.authority.revoke_token(token.id, "unneeded")
        answered_at = time.perf_counter()
        if not revocation.effective or revocation.guards != Guards(confirmed=len(self._guards), expired=0):
            raise BenchError(f"{len(self._guards)} guards should have confirmed, but the answer is {revocation}")
        return answered_at

    async def _ask_until_refused(self, guard: int, token: IssuedToken, ask_every_s: float) -> tuple[float, float]:
        """Return when the last accepted request was sent, and when the first refusal arrived."""
        request, accepted_at = self._request(guard, token), 0.0
        await asyncio.sleep(ask_every_s * guard / len(self._guards))
        while True:
            sent_at = time.perf_counter()
            status = await self._guards[guard].get(request)
            if status == REFUSED:
                return accepted_at, time.perf_counter()
            if status != ACCEPTED:
                raise BenchError(f"a guard responded with {status}, which is neither {ACCEPTED} nor {REFUSED}")
            accepted_at = sent_at
            await asyncio.sleep(max(0.0, sent_at + ask_every_s - time.perf_counter()))

    def _request(self, guard: int, token: IssuedToken) -> bytes:
        return self._running.guards[guard].request(token.token)


@asynccontextmanager
async def connect_bench(running: Running, rest_s: tuple[float, float]) -> AsyncGenerator[Bench, None]:
    """Open a connection to each guard for the length of the block."""
    async with AsyncExitStack() as stack:
        guards = [await stack.enter_async_context(connect(guard)) for guard in running.guards]
        yield Bench(running, guards, rest_s)


if __name__ == "__main__":
    app()
