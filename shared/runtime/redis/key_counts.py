"""Count per key in Redis, up to a limit, for all processes together."""

from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.runtime.process.outage import Outage

KEY_COUNT_COMMANDS: Final = "+incr +decr +expire"
"""The rights that a Redis user needs on the keys."""


class KeyCounts:
    """Counts under keys that begin with `prefix`, each for `life_s` seconds from its first count on.

    While Redis does not respond, nothing is counted or refused; `outage` reports that.
    """

    def __init__(self, redis: Redis, prefix: str, outage: Outage, *, life_s: int) -> None:
        self._redis = redis
        self._prefix = prefix
        self._outage = outage
        self._life_s = life_s

    async def add(self, key: str, limit: int) -> bool:
        """Count one, unless `limit` is reached. Return whether it was counted or could not be."""
        name = f"{self._prefix}:{key}"
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.incr(name)
                pipeline.expire(name, self._life_s, nx=True)
                count, _ = await pipeline.execute()
            if count > limit:
                await self._redis.decr(name)
        except (RedisError, OSError, TimeoutError) as error:
            self._outage.begin(error)
            return True
        self._outage.end()
        return int(count) <= limit

    async def remove(self, key: str) -> None:
        """Count one less."""
        try:
            await self._redis.decr(f"{self._prefix}:{key}")
        except (RedisError, OSError, TimeoutError) as error:
            self._outage.begin(error)
