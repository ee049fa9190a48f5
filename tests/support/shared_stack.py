"""An authority and a polls service that the tests of a module take turns with."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.databases import SharedDatabase
from tests.support.stack import Authority, Polls, token_authority

LOG_TABLES = ("token_authority.change_log", "token_authority.guard_lease")
"""What a guard and the authority agree on: to empty these would undo what the guard has been told."""


class SharedStack:
    """The running services. `polls` is there once a test has asked for it."""

    def __init__(self, database: SharedDatabase, authority: Authority) -> None:
        self.database = database
        self.authority = authority
        self.polls: Polls | None = None

    async def reset(self) -> None:
        """Remove what earlier tests have made; what the services made at their start stays."""
        await self.database.reset(besides=LOG_TABLES if self.polls else ())


@asynccontextmanager
async def shared_stack(database: SharedDatabase, redis_url: str, folder: Path) -> AsyncGenerator[SharedStack, None]:
    """A stack for the length of the block; `folder` is for the authority's admin key."""
    await database.disconnect_others()
    await database.keep_none()
    await database.reset()
    async with token_authority(database.urls, redis_url, folder) as authority:
        await database.keep_rows()
        yield SharedStack(database, authority)


async def until_leased(polls: Polls) -> None:
    """Wait until the service may answer from its cache: a test before this one may have kept it from syncing."""
    async with asyncio.timeout(10):
        while (await polls("GET", "/readyz")).json["checks"]["lease"] != "ok":
            await asyncio.sleep(0.01)
