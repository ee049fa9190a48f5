"""`python -m bench.polls`: measure the polls service under load, as ratios to a baseline of the same run.

1. `guard`: reading one poll with its token in the guard's cache, compared with the same handler without a guard.
2. `listing`: a list of 50 polls with their results, compared with one poll.
3. `large`: the results of a poll with a million ballots, compared with one with a hundred; and edits of all ballots.
4. `contest`: 32 clients that vote at once, with four processes that are killed one after the other, compared with one
   undisturbed client. Exactly the accepted ballots must be counted.
5. `bodies`: reading the worst bodies of the permitted size, in both services.

The services run as processes of their own on an embedded PostgreSQL and Redis. The exit status is 1 if a limit is
missed.
"""

import os
import platform
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec
from cyclopts import App, Parameter

from bench.bodies import body_figures
from bench.contest import contest_figures
from bench.fast_path import read_figures
from bench.reading import guard_figures, large_figures, listing_figures
from bench.report import Figure, Report, describe_machine, report_progress, run
from bench.stack import Running, Stack, start_stack

LEASE_S: Final = 5.0

Part = Literal["fast", "guard", "listing", "large", "contest", "bodies"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)

app = App(name="bench.polls", help="Measure the polls service under load.", version_flags=[])


class Plan(msgspec.Struct, frozen=True):
    """The options of a run."""

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
    """Measure the polls service under load. The exit status is 1 if a limit is missed.

    Parameters
    ----------
    parts
        Which parts to measure.
    rounds
        Rounds of half a second for each of two kinds of request.
    least_guarded
        The least allowed ratio of requests per second with the guard to those without.
    large
        Ballots of the large poll.
    most_large
        The greatest allowed ratio of its response times to those of a poll with a hundred ballots.
    most_edit_s
        Seconds that an edit of all its ballots may take.
    ballots
        Ballots that are cast in the contest.
    as_json
        Print JSON instead of the table.
    """
    plan = Plan(parts, rounds, least_guarded, large, most_large, most_edit_s, ballots)
    report = run(lambda folder: _measure(plan, folder))
    print(msgspec.json.encode(report).decode() if as_json else report.text())
    missed = [f"{figure.part}: {figure.what}" for figure in report.figures if figure.is_missed]
    if missed:
        sys.exit(f"bench: a limit is missed by {'; '.join(missed)}")


async def _measure(plan: Plan, folder: Path) -> Report:
    report_progress("starting PostgreSQL")
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(start_stack(folder, LEASE_S))
        await opened.enter_async_context(stack.redis())
        running = await opened.enter_async_context(stack.services(0))
        figures = [figure for part in plan.parts for figure in await _figures(part, stack, running, plan)]
        postgres, redis = await stack.versions()
    return Report(describe_machine(), os.cpu_count() or 0, platform.python_version(), postgres, redis, figures)


async def _figures(part: Part, stack: Stack, running: Running, plan: Plan) -> list[Figure]:
    report_progress(f"measuring: {part}")
    match part:
        case "fast":
            return await read_figures(stack, running, plan.rounds)
        case "guard":
            return await guard_figures(stack, running, plan.rounds, plan.least_guarded)
        case "listing":
            return await listing_figures(stack, running, plan.rounds)
        case "large":
            return await large_figures(stack, running, plan.large, plan.rounds, plan.most_large, plan.most_edit_s)
        case "contest":
            return await contest_figures(stack, running, plan.ballots)
        case "bodies":
            return body_figures()


if __name__ == "__main__":
    app()
