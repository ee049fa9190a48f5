"""Sets in Redis with a maximum size, which all processes share."""

from typing import Final

from shared.runtime.process.outage import Outage
from shared.runtime.redis.client import RedisClient
from shared.runtime.redis.errors import RedisUnavailable

LIMITED_SET_COMMANDS: Final = "+sadd +scard +srem +expire"
"""The rights that a Redis user needs on the keys."""


class LimitedSets:
    """Sets under keys that begin with `prefix`, each kept for `life_s` seconds from its first member on.

    While Redis does not respond, nothing is added or refused; `outage` reports that.
    """

    def __init__(self, redis: RedisClient, prefix: str, outage: Outage, *, life_s: int) -> None:
        self._redis = redis
        self._prefix = prefix
        self._outage = outage
        self._life_s = life_s

    async def add(self, key: str, member: bytes, limit: int) -> bool:
        """Add a member, unless the set has `limit` others. Return whether it is in the set or could not be added."""
        name = f"{self._prefix}:{key}"
        try:
            is_new, size, _ = await self._redis.send_all(
                [("SADD", name, member), ("SCARD", name), ("EXPIRE", name, self._life_s, "NX")]
            )
            if is_new and size > limit:
                await self._redis.send("SREM", name, member)
        except RedisUnavailable as error:
            self._outage.begin(error)
            return True
        self._outage.end()
        return not is_new or int(size) <= limit

    async def remove(self, key: str, member: bytes) -> None:
        """Remove a member."""
        try:
            await self._redis.send("SREM", f"{self._prefix}:{key}", member)
        except RedisUnavailable as error:
            self._outage.begin(error)
