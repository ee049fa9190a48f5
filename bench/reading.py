"""Measure reading and editing polls: with and without the guard, fifty polls in a list, and one with many ballots."""

import time
from typing import Any, Final

import aiohttp
import asyncpg

from bench.errors import BenchError
from bench.report import Figure
from bench.rounds import RequestKind, RoundsOrder, bearer, pin_apart, ratio, send_rounds
from bench.site import OPTIONS, Integrator, count_statements, create_full_token
from bench.stack import Running, Stack

CONNECTIONS: Final = 32
ROUND_S: Final = 0.5
COUNTED: Final = 200
"""Requests, sent one at a time, whose statements are counted."""
LISTED: Final = 50
FEW_BALLOTS: Final = 100
RESULTS_ROUND_S: Final = 0.25
LARGE_SETTINGS: Final = {"saveParticipantNames": True, "allowSelectionOfMultipleOptions": True}
FILL_LIMIT_S: Final = 600.0
_FILL: Final = """
    INSERT INTO polls.ballot (poll_id, participant_hash, option_ids, participant, name, cast_at)
    SELECT $1::text::uuid, sha256(n::text::bytea),
        CASE WHEN n % 3 = 0 THEN ARRAY['option-' || n % 5 + 1, 'option-' || (n + 1) % 5 + 1]
             ELSE ARRAY['option-' || n % 5 + 1] END,
        'participant-' || n, 'Participant number ' || n, clock_timestamp()
    FROM generate_series(1, $2) AS n
"""


async def guard_figures(stack: Stack, running: Running, rounds: int, least: float) -> list[Figure]:
    """Measure `GET /v1/polls/{id}` with its token in the guard's cache, and alternately without a guard."""
    token = await create_full_token(running.authority)
    (site,) = await running.authority.list_sites()
    async with (
        stack.polls(running.url, "guarded") as guarded,
        stack.polls(running.url, "unguarded", "bench.unguarded", UNGUARDED_SITE=site.id) as unguarded,
        aiohttp.ClientSession() as session,
    ):
        integrator = Integrator(session, guarded.base, token)
        path = f"/v1/polls/{await integrator.create_poll('GUARD')}"
        async with count_statements(session, guarded.base) as sent:
            for _ in range(COUNTED):
                await integrator("GET", path)
        kinds = [
            RequestKind(port=each.port, pid=each.pid or 0, paths=[path], headers=bearer(token))
            for each in (guarded, unguarded)
        ]
        with pin_apart([kind.pid for kind in kinds], [stack.postgres_pid]) as core:
            with_guard, without = await send_rounds(RoundsOrder(kinds, CONNECTIONS, rounds, ROUND_S, core))
    part = "one poll"
    return [
        Figure(part, "without the guard", without.rate, "requests/s"),
        Figure(part, "with the guard, token cached", with_guard.rate, "requests/s"),
        Figure(part, "ratio of the two", ratio(with_guard.rates, without.rates), "", least=least),
        Figure(part, "ratio by the server's processor time", ratio(without.server_us, with_guard.server_us), ""),
        Figure(part, "processor time without the guard", without.server_median_us, "µs"),
        Figure(part, "processor time with the guard", with_guard.server_median_us, "µs"),
        Figure(part, "share of its core used by the guarded server", with_guard.busy * 100, "%"),
        Figure(part, "its statement, one request at a time", sent["select_poll"].mean_ms, "ms"),
        Figure(part, "statements per request", sum(each.executions for each in sent.values()) / COUNTED, "", most=1),
    ]


async def listing_figures(stack: Stack, running: Running, rounds: int) -> list[Figure]:
    """Measure a list of fifty polls with their results, alternating with one poll."""
    token = await create_full_token(running.authority)
    async with stack.polls(running.url, "listing") as polls, aiohttp.ClientSession() as session:
        integrator = Integrator(session, polls.base, token)
        poll_ids = [await integrator.create_poll("LIST") for _ in range(LISTED)]
        for number, poll_id in enumerate(poll_ids):
            for voter in range(3):
                await integrator.vote(poll_id, f"voter-{voter}", f"option-{1 + (number + voter) % 5}")
        one, many = f"/v1/polls/{poll_ids[0]}", f"/v1/polls?workspace=LIST&expand=results&limit={LISTED}"
        async with count_statements(session, polls.base) as sent:
            listed = await integrator("GET", many)
        if len(listed["items"]) != LISTED or listed["items"][-1]["results"]["participants"] != 3:
            raise BenchError("the list does not contain every poll with its results")
        kinds = [
            RequestKind(port=polls.port, pid=polls.pid or 0, paths=[path], headers=bearer(token))
            for path in (one, many)
        ]
        with pin_apart([polls.pid or 0], [stack.postgres_pid]) as core:
            single, whole = await send_rounds(RoundsOrder(kinds, CONNECTIONS, rounds, ROUND_S, core))
    part = f"{LISTED} polls"
    return [
        Figure(part, "one poll", single.rate, "requests/s"),
        Figure(part, "a list of them with results", whole.rate, "requests/s"),
        Figure(part, "cost of a list in requests of one poll", ratio(single.rates, whole.rates), ""),
        Figure(part, "statements per list", sum(each.executions for each in sent.values()), "", most=1),
        Figure(part, "its statement", sent["list_polls"].mean_ms, "ms"),
    ]


async def large_figures(
    stack: Stack, running: Running, ballots: int, rounds: int, most: float, most_s: float
) -> list[Figure]:
    """Measure the results of a large poll against those of a small one, and edits of the large one.

    `most` limits the ratio, `most_s` the seconds of each edit.
    """
    token = await create_full_token(running.authority)
    async with stack.polls(running.url, "large") as polls, aiohttp.ClientSession() as session:
        integrator = Integrator(session, polls.base, token)
        small, large = [await integrator.create_poll("LARGE", LARGE_SETTINGS) for _ in range(2)]
        await _fill(stack, small, FEW_BALLOTS)
        fill_s = await _fill(stack, large, ballots)
        kinds = [
            RequestKind(
                port=polls.port, pid=polls.pid or 0, paths=[f"/v1/polls/{poll_id}/results"], headers=bearer(token)
            )
            for poll_id in (small, large)
        ]
        with pin_apart([polls.pid or 0], [stack.postgres_pid]) as core:
            of_small, of_large = await send_rounds(RoundsOrder(kinds, 1, rounds, RESULTS_ROUND_S, core))
        edits = await _edits(integrator, large, ballots)
    part, many = "large poll", f"{ballots} ballots"
    return [
        Figure(part, f"results of {FEW_BALLOTS} ballots, p50", of_small.p50_ms, "ms"),
        Figure(part, f"results of {FEW_BALLOTS} ballots, p95", of_small.p95_ms, "ms"),
        Figure(part, f"results of {many}, p50", of_large.p50_ms, "ms"),
        Figure(part, f"results of {many}, p95", of_large.p95_ms, "ms"),
        Figure(part, "ratio of the p50", of_large.p50_ms / of_small.p50_ms, "", most=most),
        Figure(part, "ratio of the p95", of_large.p95_ms / of_small.p95_ms, "", most=most),
        Figure(part, f"filling it with {many} by one statement", fill_s, "s"),
        *(Figure(part, f"{what}, of {many}", took_s, "s", most=most_s) for what, took_s in edits.items()),
    ]


async def _fill(stack: Stack, poll_id: str, ballots: int) -> float:
    """Insert `ballots` ballots by one statement, whose triggers count them. Return its seconds."""
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
    """Return the seconds of each edit of all ballots. Raise `BenchError` if one has not the right effect."""
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
        raise BenchError(f"an edit of the large poll has not had the right effect: {answer}")
