"""The two passes over a running stack: how long a revocation's answer takes, and how long until its refusals.

They are apart because asking the guards all the time, as the second must, takes processor time from the first.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from bench.errors import BenchError
from bench.guarded import ACCEPTED, REFUSED, Connection, connected
from bench.stack import Running
from pollgate.client import Guards, IssuedToken

REST_S: Final = (0.03, 0.06)
"""Between revocations: long enough for what follows one, the guards' second look at the log, to be over."""


class Bench:
    """Revokes tokens that every guard has in its cache. `rest_s` is drawn anew before each revocation."""

    def __init__(self, running: Running, guards: Sequence[Connection], rest_s: tuple[float, float]) -> None:
        self._running = running
        self._guards = guards
        self._rest_s = rest_s

    async def answer_ms(self) -> float:
        """From sending a revocation to its answer, which is that every guard has confirmed it."""
        token = await self._cached_token()
        sent_at = time.perf_counter()
        answered_at = await self._revoke(token)
        return (answered_at - sent_at) * 1000

    async def refusal_ms(self, ask_every_s: float) -> float:
        """From sending a revocation to the first refusal at the slowest guard; each is asked at this interval."""
        token = await self._cached_token()
        sent_at = time.perf_counter()
        asked = [self._ask_until_refused(guard, token, ask_every_s) for guard in range(len(self._guards))]
        answered_at, heard = await asyncio.gather(self._revoke(token), asyncio.gather(*asked))
        if max(accepted_at for accepted_at, _ in heard) > answered_at:
            raise BenchError("a request sent after the revocation's answer was accepted: the promise is broken")
        return (max(refused_at for _, refused_at in heard) - sent_at) * 1000

    async def _cached_token(self) -> IssuedToken:
        token = await self._running.authority.create_token("To be revoked", ["polls:read:PLAT"])
        for _ in range(2):
            statuses = [await guard.get(self._request(index, token)) for index, guard in enumerate(self._guards)]
            if set(statuses) != {ACCEPTED}:
                raise BenchError(f"a token that is alive was answered with {statuses}")
        await asyncio.sleep(random.uniform(*self._rest_s))
        return token

    async def _revoke(self, token: IssuedToken) -> float:
        revocation = await self._running.authority.revoke_token(token.id, "unneeded")
        answered_at = time.perf_counter()
        if not revocation.effective or revocation.guards != Guards(confirmed=len(self._guards), expired=0):
            raise BenchError(f"{len(self._guards)} guards should have confirmed, but: {revocation}")
        return answered_at

    async def _ask_until_refused(self, guard: int, token: IssuedToken, ask_every_s: float) -> tuple[float, float]:
        """When the last accepted request was sent, and when the first refusal came."""
        request, accepted_at = self._request(guard, token), 0.0
        await asyncio.sleep(ask_every_s * guard / len(self._guards))
        while True:
            sent_at = time.perf_counter()
            status = await self._guards[guard].get(request)
            if status == REFUSED:
                return accepted_at, time.perf_counter()
            if status != ACCEPTED:
                raise BenchError(f"a guard answered {status}, which is neither accepted nor refused")
            accepted_at = sent_at
            await asyncio.sleep(max(0.0, sent_at + ask_every_s - time.perf_counter()))

    def _request(self, guard: int, token: IssuedToken) -> bytes:
        return self._running.guards[guard].request(token.token)


@asynccontextmanager
async def bench(running: Running, rest_s: tuple[float, float] = REST_S) -> AsyncGenerator[Bench, None]:
    """A connection to each guard for the length of the block."""
    async with AsyncExitStack() as stack:
        guards = [await stack.enter_async_context(connected(guard)) for guard in running.guards]
        yield Bench(running, guards, rest_s)
