"""Publishes the change log on Redis, in order, as soon as a change commits or Redis is back."""

import asyncio
import contextlib
from typing import Final

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.token_authority.storage import changes
from shared.contract.change import CHANGES_CHANNEL
from shared.runtime.postgres import Database, DatabaseUnavailable

RETRY_S: Final = 0.5
"""How often the relay looks for changes that nobody woke it for: those of another process, or of an outage."""
BATCH: Final = 500

_log = structlog.get_logger()


class ChangeRelay:
    """One runs in each process; a lock lets one publish at a time, so that changes leave in the order of `seq`."""

    def __init__(self, database: Database, redis: Redis, redis_address: str) -> None:
        self._database = database
        self._redis = redis
        self._redis_address = redis_address
        self._awake = asyncio.Event()
        self._redis_is_away = False

    def wake(self) -> None:
        """A change has been committed."""
        self._awake.set()

    async def ping(self) -> None:
        """Raises where Redis does not answer."""
        await self._redis.ping()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            try:
                while await self._publish_batch() == BATCH:
                    pass
            except (RedisError, OSError, TimeoutError) as error:
                self._note_redis_away(error)
            except DatabaseUnavailable:
                pass  # the database has logged it
            await self._wait()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_S):
                await self._awake.wait()
        self._awake.clear()

    async def _publish_batch(self) -> int:
        async with self._database.transaction() as transaction:
            if not await changes.try_lock_publishing(transaction):
                return 0
            batch = await changes.select_unpublished(transaction, BATCH)
            if not batch:
                return 0
            pipeline = self._redis.pipeline(transaction=False)
            for change in batch:
                pipeline.publish(CHANGES_CHANNEL, msgspec.json.encode(change))
            await pipeline.execute()
            await changes.mark_published(transaction, batch)
        if self._redis_is_away:
            self._redis_is_away = False
            _log.info(
                "Redis is back, and the changes are published",
                address=self._redis_address,
                changes=len(batch),
            )
        return len(batch)

    def _note_redis_away(self, error: Exception) -> None:
        if not self._redis_is_away:
            self._redis_is_away = True
            _log.error(
                "Redis is away: changes wait here, and guards learn of them within the life of a cache entry; "
                "start Redis or correct REDIS_URL",
                address=self._redis_address,
                error=type(error).__name__,
            )
