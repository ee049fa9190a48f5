"""When this machine was too busy for the time limits of the services: a trivial statement took long."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from shared.runtime.process.clock import elapsed_s

LOOK_EVERY_S: Final = 0.05
STALL_S: Final = 0.15
"""A statement that reads nothing takes a millisecond. If it takes this long, others take longer than their limit."""
EFFECT_S: Final = 3.0
"""How long before and after a stall requests may be too slow for it: the limit of a request is 2.5 seconds."""


class Stalls:
    """The times at which the machine was too busy."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def explain(self, sent_at: float, answered_at: float) -> bool:
        """Return whether a request in this time may have been refused because of a stall."""
        return any(sent_at - EFFECT_S <= at <= answered_at + EFFECT_S for at in self.at)

    async def watch(self, admin_url: str) -> None:
        """Look until cancelled."""
        connection = await asyncpg.connect(admin_url)
        try:
            while True:
                started = elapsed_s()
                await connection.fetchval("SELECT 1")
                await asyncio.sleep(LOOK_EVERY_S)
                if elapsed_s() - started > STALL_S:
                    self.at += [started, elapsed_s()]
        finally:
            await connection.close()


@asynccontextmanager
async def watch_stalls(admin_url: str) -> AsyncGenerator[Stalls, None]:
    """Watch the machine during the block."""
    stalls = Stalls()
    watching = asyncio.create_task(stalls.watch(admin_url))
    try:
        yield stalls
    finally:
        watching.cancel()
        await asyncio.wait({watching})
