"""A poll with a great many ballots beside one with a hundred: the results of both, and edits of the large one."""

import time
from typing import Any, Final

import aiohttp
import asyncpg

from bench.cores import apart
from bench.errors import BenchError
from bench.figures import Figure
from bench.rounds import Kind, RoundsOrder, send_rounds
from bench.site import OPTIONS, Integrator, token_for_everything
from bench.stack import Running, Stack

SMALL: Final = 100
ROUND_S: Final = 0.25
SETTINGS: Final = {"saveParticipantNames": True, "allowSelectionOfMultipleOptions": True}
FILL_LIMIT_S: Final = 600.0
_FILL: Final = """
    INSERT INTO polls.ballot (poll_id, participant_hash, option_ids, participant, name, cast_at)
    SELECT $1::text::uuid, sha256(n::text::bytea),
        CASE WHEN n % 3 = 0 THEN ARRAY['option-' || n % 5 + 1, 'option-' || (n + 1) % 5 + 1]
             ELSE ARRAY['option-' || n % 5 + 1] END,
        'participant-' || n, 'Participant number ' || n, clock_timestamp()
    FROM generate_series(1, $2) AS n
"""


async def large_figures(
    stack: Stack, running: Running, ballots: int, rounds: int, most: float, most_s: float
) -> list[Figure]:
    """`most` times as long may the results of the large poll take, and `most_s` seconds each edit of it."""
    token = await token_for_everything(running.authority)
    async with stack.polls(running.url, "large") as polls, aiohttp.ClientSession() as session:
        integrator = Integrator(session, polls.base, token)
        small, large = [await integrator.make_poll("LARGE", SETTINGS) for _ in range(2)]
        await _fill(stack, small, SMALL)
        fill_s = await _fill(stack, large, ballots)
        kinds = [Kind(polls.port, polls.pid or 0, f"/v1/polls/{poll_id}/results", token) for poll_id in (small, large)]
        with apart([polls.pid or 0], [stack.postgres_pid]) as core:
            of_small, of_large = await send_rounds(RoundsOrder(kinds, 1, rounds, ROUND_S, core))
        edits = await _edits(integrator, large, ballots)
    part, many = "large poll", f"{ballots} ballots"
    return [
        Figure(part, f"results of {SMALL} ballots, p50", of_small.p50_ms, "ms"),
        Figure(part, f"results of {SMALL} ballots, p95", of_small.p95_ms, "ms"),
        Figure(part, f"results of {many}, p50", of_large.p50_ms, "ms"),
        Figure(part, f"results of {many}, p95", of_large.p95_ms, "ms"),
        Figure(part, "ratio of the p50", of_large.p50_ms / of_small.p50_ms, "", most=most),
        Figure(part, "ratio of the p95", of_large.p95_ms / of_small.p95_ms, "", most=most),
        Figure(part, f"filling it with {many} by one statement", fill_s, "s"),
        *(Figure(part, f"{what}, of {many}", took_s, "s", most=most_s) for what, took_s in edits.items()),
    ]


async def _fill(stack: Stack, poll_id: str, ballots: int) -> float:
    """As if so many had voted; how long that took, with the counting."""
    connection = await asyncpg.connect(stack.postgres_url)
    try:
        started = time.perf_counter()
        await connection.execute(_FILL, poll_id, ballots, timeout=FILL_LIMIT_S)
        took_s = time.perf_counter() - started
        await connection.execute("VACUUM (ANALYZE) polls.ballot", timeout=FILL_LIMIT_S)
    finally:
        await connection.close()
    return took_s


async def _edits(integrator: Integrator, poll_id: str, ballots: int) -> dict[str, float]:
    """What is done to all ballots at once, and in how many seconds. Raises `BenchError` where it has not been done."""
    path, took_s = f"/v1/polls/{poll_id}", {}
    started = time.perf_counter()
    edited = await integrator("PATCH", f"{path}?dropVotes=true", {"options": OPTIONS[:-1]})
    took_s["dropping an option"] = time.perf_counter() - started
    dropped = edited["effect"]["droppedBallots"]
    _require(edited["effect"]["droppedVotes"] > dropped > 0, edited)
    started = time.perf_counter()
    edited = await integrator("PATCH", path, {"settings": {"saveParticipantNames": False}})
    took_s["anonymizing them"] = time.perf_counter() - started
    _require(edited["effect"]["anonymizedBallots"] == ballots - dropped, edited)
    results = await integrator("GET", f"{path}/results")
    _require(results["participants"] == ballots - dropped, results)
    started = time.perf_counter()
    await integrator("DELETE", path)
    took_s["deleting the poll"] = time.perf_counter() - started
    return took_s


def _require(is_right: bool, answer: Any) -> None:
    if not is_right:
        raise BenchError(f"an edit of the large poll has not done what it should: {answer}")
