"""`python -m bench.revocation`: how long a revocation takes, on one machine, as its caller feels it.

For 1, 4 and 8 guards, each a polls process, behind one token authority, it measures in two separate passes

1. the answer: from sending a revocation to its answer, which the authority gives when all guards have confirmed;
2. the first refusal: from sending a revocation to the first refusal at the slowest guard. Each guard is asked over and
   over again, one request at a time: all together `ASKED_PER_S` times a second, so that a time is up to that interval
   too long. This asking takes processor time from the authority and the guards, which is why the passes are apart.

Each is measured idle, under a steady load of reads from another process, and with Redis stopped, where the sync, every
fifth of the lease, is how guards learn of a revocation; each of these begins at a random phase of that interval. Every
sample counts, also the first after a start. Each answer is checked to say that all guards have confirmed, and no
request sent after the answer may be accepted.
"""

import asyncio
import os
import platform
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec
from cyclopts import App, Parameter

from bench.machine import machine
from bench.passes import REST_S, bench
from bench.running import run, say
from bench.stack import Running, Stack, started
from bench.table import Measured, Row, Spread

LEASE_S: Final = 5.0
SYNC_EVERY_S: Final = LEASE_S / 5
ASKED_PER_S: Final = 1000
AWAY_ASKED_PER_S: Final = 100
"""Without Redis, where a second's wait does not have to be known to the millisecond."""

Situation = Literal["idle", "load", "redis-away"]
SITUATIONS: Final[tuple[Situation, ...]] = get_args(Situation)

app = App(name="bench.revocation", help="Measure how long a revocation takes.", version_flags=[])


class Plan(msgspec.Struct, frozen=True):
    """What is asked for."""

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
        How many polls processes; several numbers are measured in turn.
    situations
        Which situations to measure.
    revocations
        How many in each pass.
    away_revocations
        How many in each pass with Redis away.
    load_rate
        Reads a second over all guards together, under load.
    as_json
        Print JSON in place of the table.
    """
    plan = Plan(guards, situations, revocations, away_revocations, load_rate)
    measured = run(lambda folder: _measure(plan, folder))
    print(msgspec.json.encode(measured).decode() if as_json else measured.text())


async def _measure(plan: Plan, folder: Path) -> Measured:
    say("starting PostgreSQL")
    async with started(folder, LEASE_S) as stack:
        rows = [row for guards in plan.guards for row in await _rows(stack, guards, plan)]
        postgres, redis = await stack.versions()
    return Measured(
        machine=machine(),
        cores=os.cpu_count() or 0,
        python=platform.python_version(),
        postgres=postgres,
        redis=redis,
        lease_s=LEASE_S,
        load_rate=plan.load_rate,
        rows=rows,
    )


async def _rows(stack: Stack, guards: int, plan: Plan) -> list[Row]:
    """The situations in turn; Redis goes last, and is back for the next number of guards."""
    rows = []
    async with AsyncExitStack() as redis:
        await redis.enter_async_context(stack.redis())
        async with stack.services(guards) as running:
            await asyncio.sleep(1)
            if "idle" in plan.situations:
                rows.append(await _row("idle", running, plan))
            if "load" in plan.situations:
                async with stack.load(running, plan.load_rate):
                    rows.append(await _row("load", running, plan))
            if "redis-away" in plan.situations:
                await redis.aclose()
                await asyncio.sleep(1)
                rows.append(await _row("redis-away", running, plan))
    return rows


async def _row(situation: Situation, running: Running, plan: Plan) -> Row:
    guards, away = len(running.guards), situation == "redis-away"
    times = plan.away_revocations if away else plan.revocations
    ask_every_s = guards / (AWAY_ASKED_PER_S if away else ASKED_PER_S)
    async with bench(running, (0.0, SYNC_EVERY_S) if away else REST_S) as measuring:
        say(f"{guards} guards, {situation}: answers to {times} revocations")
        answers = [await measuring.answer_ms() for _ in range(times)]
        say(f"{guards} guards, {situation}: first refusals after {times} revocations")
        refusals = [await measuring.refusal_ms(ask_every_s) for _ in range(times)]
    return Row(guards, situation, times, Spread.of(answers), Spread.of(refusals))


if __name__ == "__main__":
    app()
