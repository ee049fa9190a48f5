"""`python -m bench.polls`: measure the polls service under load, as ratios to a baseline of the same run.

1. `fast`: reading polls, creating them, casting ballots and introspection, each compared with a bare server.
2. `guard`: reading one poll with its token in the guard's cache, compared with the same handler without a guard.
3. `cached`: looking a cached token up, with a million tokens in the cache.
4. `memory`: what a process keeps for each secret in use, changed token, address and connection.
5. `revocation`: the answer to a revocation with four guards, and its processor time.
6. `workers`: two workers compared with one.
7. `start`: from the launch of a service until it is ready.
8. `listing`: a list of 50 polls with their results, compared with one poll.
9. `large`: the results of a poll with a million ballots, compared with one with a hundred; and edits of all ballots.
10. `contest`: 32 clients that vote at once, with four processes that are killed one after the other, compared with one
    undisturbed client. Exactly the accepted ballots must be counted.
11. `voting`: thousands of browsers that vote by one shared link within a minute.
12. `bodies`: reading the worst bodies of the permitted size, in both services.

The services run as processes of their own on an embedded PostgreSQL and Redis. The exit status is 1 if a limit is
missed.
"""

import asyncio
import math
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec
from cyclopts import App, Parameter

from bench.bodies import body_figures
from bench.cached_tokens import cached_figures
from bench.contest import contest_figures
from bench.errors import BenchError
from bench.fast_path import fast_figures
from bench.memory import memory_figures
from bench.processes import revocation_figures, start_figures, worker_figures
from bench.reading import guard_figures, large_figures, listing_figures
from bench.report import Figure, Report, describe_machine, median_figures, report_progress, run
from bench.stack import Running, Stack, start_stack
from bench.voting import voting_figures
from pollgate.client import ClientError

LEASE_S: Final = 5.0
STARTS: Final = 3
"""Processes that share the rounds of a ratio: one is up to a tenth faster than the next, depending on where its code
and data lie in memory."""

Part = Literal[
    "fast",
    "guard",
    "cached",
    "memory",
    "revocation",
    "workers",
    "start",
    "listing",
    "large",
    "contest",
    "voting",
    "bodies",
]
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
    browsers: int


@app.default
def main(  # noqa: PLR0913 - each is an option
    *,
    parts: Annotated[tuple[Part, ...], Parameter(consume_multiple=True, negative="")] = PARTS,
    rounds: int = 20,
    least_guarded: float = 0.85,
    large: int = 1_000_000,
    most_large: float = 5.0,
    most_edit_s: float = 15.0,
    ballots: int = 100_000,
    browsers: int = 10_000,
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
    browsers
        Browsers that vote by the shared link.
    as_json
        Print JSON instead of the table.
    """
    plan = Plan(parts, rounds, least_guarded, large, most_large, most_edit_s, ballots, browsers)
    report, failures = run(lambda folder: _measure(plan, folder))
    print(msgspec.json.encode(report).decode() if as_json else report.text())
    missed = [f"{figure.part}: {figure.what}" for figure in report.figures if figure.is_missed]
    if missed:
        failures.append(f"a limit is missed by {'; '.join(missed)}")
    if failures:
        sys.exit("\n".join(f"bench: {each}" for each in failures))


async def _measure(plan: Plan, folder: Path) -> tuple[Report, list[str]]:
    """Return the figures, and why parts failed. The figures of the other parts are not lost."""
    figures: list[Figure] = []
    failures = []
    report_progress("starting PostgreSQL")
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(start_stack(folder, LEASE_S))
        await opened.enter_async_context(stack.redis())
        running = await opened.enter_async_context(stack.services(0))
        for part in plan.parts:
            try:
                figures += await _figures(part, stack, running, plan)
            except (BenchError, ClientError) as error:
                failures.append(f"{part}: {error}")
        postgres, redis = await stack.versions()
    report = Report(describe_machine(), os.cpu_count() or 0, platform.python_version(), postgres, redis, figures)
    return report, failures


async def _figures(part: Part, stack: Stack, running: Running, plan: Plan) -> list[Figure]:
    report_progress(f"measuring: {part}")
    rounds = plan.rounds
    measure: Mapping[Part, Callable[[], Awaitable[list[Figure]]]] = {
        "fast": lambda: _measure_with_starts(lambda rounds: fast_figures(stack, running, rounds), rounds),
        "guard": lambda: _measure_with_starts(
            lambda rounds: guard_figures(stack, running, rounds, plan.least_guarded), rounds
        ),
        "cached": lambda: asyncio.to_thread(cached_figures),
        "memory": memory_figures,
        "revocation": lambda: revocation_figures(stack),
        "workers": lambda: worker_figures(stack, running, rounds),
        "start": lambda: start_figures(stack, running),
        "listing": lambda: listing_figures(stack, running, rounds),
        "large": lambda: large_figures(stack, running, plan.large, rounds, plan.most_large, plan.most_edit_s),
        "contest": lambda: contest_figures(stack, running, plan.ballots),
        "voting": lambda: voting_figures(stack, running, plan.browsers),
        "bodies": lambda: asyncio.to_thread(body_figures),
    }
    return await measure[part]()


async def _measure_with_starts(measure: Callable[[int], Awaitable[list[Figure]]], rounds: int) -> list[Figure]:
    """Measure with `STARTS` processes of each kind, one after the other, and return the medians."""
    return median_figures([await measure(math.ceil(rounds / STARTS)) for _ in range(STARTS)])


if __name__ == "__main__":
    app()
