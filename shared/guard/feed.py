"""Follows the authority's changes over Redis and makes the guard forget what they are about.

Redis may lose messages and says nothing when it does. So the guard forgets everything whenever a subscription is
confirmed, for what came before it may have been missed; and a server that has gone silent is left and tried anew.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.contract.change import CHANGES_CHANNEL, Change

PING_EVERY_S: Final = 1.0
SILENCE_LIMIT_S: Final = 3.0
RETRY_S: Final = 0.5

_log = structlog.get_logger()


class Forgetful(Protocol):
    """What the feed does to a guard."""

    def forget(self, token_digest: bytes) -> None: ...
    def forget_all(self) -> None: ...


class ChangeFeed:
    """One a process. `live` says whether changes arrive."""

    def __init__(self, guard: Forgetful, redis: Redis, redis_address: str) -> None:
        self._guard = guard
        self._redis = redis
        self._redis_address = redis_address
        self._reported = False
        self.live = False

    async def ping(self) -> None:
        """Raises where changes do not arrive."""
        if not self.live:
            raise ConnectionError("the subscription to changes is not confirmed")

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except (RedisError, OSError, TimeoutError) as error:
                self._note_away(error)
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        clock = asyncio.get_running_loop().time
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(CHANGES_CHANNEL)
            heard_at = clock()
            while True:
                message = await pubsub.get_message(timeout=PING_EVERY_S)
                if message is not None:
                    heard_at = clock()
                    self._take(message)
                elif clock() - heard_at > SILENCE_LIMIT_S:
                    raise TimeoutError("silent")
                else:
                    await pubsub.ping()

    def _take(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._note_live()
            self._guard.forget_all()
        elif message["type"] == "message":
            try:
                change = msgspec.json.decode(message["data"], type=Change)
                self._guard.forget(bytes.fromhex(change.digest))
            except ValueError:
                _log.warning("a change cannot be read, so everything is asked anew", redis=self._redis_address)
                self._guard.forget_all()

    def _note_live(self) -> None:
        self.live = True
        _log.info("following changes", redis=self._redis_address)
        self._reported = False

    def _note_away(self, error: Exception) -> None:
        self.live = False
        if not self._reported:
            self._reported = True
            _log.error(
                "Redis is away: revocations take effect here within the life of a cache entry; "
                "start Redis or correct REDIS_URL",
                address=self._redis_address,
                error=type(error).__name__,
            )
