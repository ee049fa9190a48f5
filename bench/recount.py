"""Holds what many clients have been told against what the service counts and what the database keeps."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg

from bench.voters import Poll, Tally, Voters

QUIET_LIMIT_S: Final = 20.0
_BUSY: Final = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'polls' AND state <> 'idle'
"""
_BALLOTS: Final = "SELECT participant, option_ids FROM polls.ballot WHERE poll_id = $1::text::uuid"
_DEADLOCKS: Final = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


async def differences(
    voters: Voters, polls: Sequence[Poll], results: Mapping[str, Any], postgres_url: str
) -> list[str]:
    """What does not agree, in sentences; `results` are what the service answers, by the poll's id."""
    connection = await asyncpg.connect(postgres_url)
    try:
        found = []
        for poll in polls:
            kept = [(row["participant"], tuple(row["option_ids"])) for row in await connection.fetch(_BALLOTS, poll.id)]
            found += _differences(poll, voters, results[poll.id], kept)
        deadlocks = await connection.fetchval(_DEADLOCKS)
    finally:
        await connection.close()
    return found + ([f"there were {deadlocks} deadlocks"] if deadlocks else [])


async def quiet(postgres_url: str) -> None:
    """Return when no statement of the polls service is under way any more, also of processes that were killed."""
    connection = await asyncpg.connect(postgres_url)
    try:
        async with asyncio.timeout(QUIET_LIMIT_S):
            while await connection.fetchval(_BUSY):
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


def _differences(
    poll: Poll, voters: Voters, results: Any, kept: Sequence[tuple[str | None, tuple[str, ...]]]
) -> list[str]:
    accepted, counted = voters.tally(poll), _tally_of(results)
    selected = Tally.of([option_ids for _, option_ids in kept])
    found = []
    if counted != accepted:
        found.append(f"the results of {poll.id} are {counted}, and accepted were {accepted}")
    if selected != accepted:
        found.append(f"the ballots of {poll.id} come to {selected}, and accepted were {accepted}")
    ballots = voters.ballots(poll)
    if Counter(ballots.values()) != Counter(option_ids for _, option_ids in kept):
        found.append(f"the ballots of {poll.id} are not those that were accepted")
    if any(participant is not None and ballots.get(participant) != option_ids for participant, option_ids in kept):
        found.append(f"ballots of {poll.id} are kept for others than those who have cast them")
    return found


def _tally_of(results: Any) -> Tally:
    counts = {option["id"]: option["votes"] for option in results["options"] if option["votes"]}
    return Tally(results["participants"], results["votes"], counts)
