"""`python -m bench.polls`: what the polls service does under load, as ratios to a baseline of the same run.

1. `guard`: reading one poll with its token in the guard's cache, to the same handler without a guard.
2. `listing`: a list of 50 polls with their results, to one poll.
3. `large`: the results of a poll with a million ballots, to those of one with a hundred; and edits of all of these.
4. `contest`: 32 clients who vote at once, retry what goes unanswered, and go round four processes that are killed one
   after the other, to one client undisturbed; exactly the ballots that were accepted have to be counted.

The services are processes of their own on an embedded PostgreSQL and Redis. The status is 1 where a limit is missed.
"""

import os
import platform
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec
from cyclopts import App, Parameter

from bench.contest import contest_figures
from bench.figures import Figure, Measured
from bench.large import large_figures
from bench.machine import machine
from bench.reading import guard_figures, listing_figures
from bench.running import run, say
from bench.stack import Running, Stack, started

LEASE_S: Final = 5.0

Part = Literal["guard", "listing", "large", "contest"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)

app = App(name="bench.polls", help="Measure what the polls service does under load.", version_flags=[])


class Plan(msgspec.Struct, frozen=True):
    """What is asked for."""

    parts: tuple[Part, ...]
    rounds: int
    least_guarded: float
    large: int
    most_large: float
    most_edit_s: float
    ballots: int


@app.default
def main(
    *,
    parts: Annotated[tuple[Part, ...], Parameter(consume_multiple=True, negative="")] = PARTS,
    rounds: int = 20,
    least_guarded: float = 0.85,
    large: int = 1_000_000,
    most_large: float = 5.0,
    most_edit_s: float = 15.0,
    ballots: int = 100_000,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Measure what the polls service does under load; the status is 1 where a limit is missed.

    Parameters
    ----------
    parts
        Which parts to measure.
    rounds
        How many rounds of half a second each of two kinds of request has.
    least_guarded
        The least share of the unguarded requests a second that is left with the guard.
    large
        How many ballots the large poll has.
    most_large
        How many times as long its results may take as those of a poll with a hundred ballots.
    most_edit_s
        How many seconds an edit of all its ballots may take.
    ballots
        How many ballots are cast in the contest.
    as_json
        Print JSON in place of the table.
    """
    plan = Plan(parts, rounds, least_guarded, large, most_large, most_edit_s, ballots)
    measured = run(lambda folder: _measure(plan, folder))
    print(msgspec.json.encode(measured).decode() if as_json else measured.text())
    missed = [f"{figure.part}: {figure.what}" for figure in measured.figures if figure.is_missed]
    if missed:
        sys.exit(f"bench: a limit is missed by {'; '.join(missed)}")


async def _measure(plan: Plan, folder: Path) -> Measured:
    say("starting PostgreSQL")
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(started(folder, LEASE_S))
        await opened.enter_async_context(stack.redis())
        running = await opened.enter_async_context(stack.services(0))
        figures = [figure for part in plan.parts for figure in await _figures(part, stack, running, plan)]
        postgres, redis = await stack.versions()
    return Measured(machine(), os.cpu_count() or 0, platform.python_version(), postgres, redis, figures)


async def _figures(part: Part, stack: Stack, running: Running, plan: Plan) -> list[Figure]:
    say(f"measuring: {part}")
    match part:
        case "guard":
            return await guard_figures(stack, running, plan.rounds, plan.least_guarded)
        case "listing":
            return await listing_figures(stack, running, plan.rounds)
        case "large":
            return await large_figures(stack, running, plan.large, plan.rounds, plan.most_large, plan.most_edit_s)
        case "contest":
            return await contest_figures(stack, running, plan.ballots)


if __name__ == "__main__":
    app()
