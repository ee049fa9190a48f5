"""Stream tickets without Redis."""

import pytest

from shared.guard import TicketsUnavailable
from shared.guard.problems import GUARD_PROBLEMS
from shared.guard.tickets import StreamTickets
from shared.runtime.redis.client import redis_client


async def test_ticket_without_redis_raises_an_error_with_status_503() -> None:
    async with redis_client("redis://127.0.0.1:1") as redis:
        tickets = StreamTickets(redis, "x")
        with pytest.raises(TicketsUnavailable) as issued:
            await tickets.issue("pgt_x", "/events")
        with pytest.raises(TicketsUnavailable):
            await tickets.redeem("pge_" + "0" * 64, "/events")

    problem = GUARD_PROBLEMS[TicketsUnavailable](issued.value)
    assert (problem.kind.status, problem.headers["Retry-After"]) == (503, "1")
