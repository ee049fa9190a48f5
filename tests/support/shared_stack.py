"""An authority and a polls service that the tests of one module share."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.databases import SharedDatabase
from tests.support.stack import Authority, Polls, run_token_authority

LOG = "token_authority.change_log"
"""The running authority has seen these rows; without them, it would take its database for restored."""
LEASES = "token_authority.guard_lease"
"""A running guard holds one."""
WRONG_CREDENTIALS = 10_000
"""Per minute. Refusals of many tests come from one address."""


class SharedStack:
    """The running services. `polls` is `None` until a test needs it."""

    def __init__(self, database: SharedDatabase, authority: Authority) -> None:
        self.database = database
        self.authority = authority
        self.polls: Polls | None = None

    async def reset(self) -> None:
        """Remove the rows of earlier tests; keep those that the services created at their start."""
        await self.database.reset(except_for=(LOG, LEASES) if self.polls else (LOG,))


@asynccontextmanager
async def run_shared_stack(database: SharedDatabase, redis_url: str, folder: Path) -> AsyncGenerator[SharedStack, None]:
    """Run a stack during the block; `folder` is for the authority's admin key."""
    await database.disconnect_others()
    await database.forget_kept_rows()
    await database.reset()
    limits = {
        "wrong_credentials_per_minute": WRONG_CREDENTIALS,
        "wrong_credentials_per_minute_per_service": WRONG_CREDENTIALS,
    }
    async with run_token_authority(database.urls, redis_url, folder, **limits) as authority:
        await database.keep_rows()
        yield SharedStack(database, authority)


async def wait_for_lease(polls: Polls) -> None:
    """Wait until the service may answer from its cache: a test before this one may have kept it from syncing."""
    async with asyncio.timeout(10):
        while (await polls("GET", "/readyz")).json["checks"]["lease"] != "ok":
            await asyncio.sleep(0.01)
