"""Receive the messages of one Redis channel, and report when some may have been missed.

Redis keeps no messages for a subscriber that is not connected, a connection may die without an error, and after a
fail-over the former master may go on answering while nothing is published there. So the subscription is pinged while it
is silent, and renewed when it fails and when another server has become the master.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from shared.runtime.process.outage import Outage
from shared.runtime.redis.client import RedisClient
from shared.runtime.redis.errors import RedisUnavailable

PING_EVERY_S: Final = 1.0
MAX_UNANSWERED_PINGS: Final = 3
"""Then the server counts as lost. Not a time limit: this process may have been suspended meanwhile."""
RETRY_S: Final = 0.5
"""Between two attempts to subscribe."""


class Subscription:
    """A subscription to one channel. `is_live` says whether messages arrive at the moment.

    `on_subscribed` is called each time the server has confirmed the subscription: earlier messages may have been
    missed. `on_message` is called with the content of each message.
    """

    def __init__(
        self,
        redis: RedisClient,
        channel: str,
        outage: Outage,
        *,
        on_subscribed: Callable[[], Awaitable[None]],
        on_message: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self._redis = redis
        self._channel = channel
        self._outage = outage
        self._on_subscribed = on_subscribed
        self._on_message = on_message
        self.is_live = False

    async def run(self) -> None:
        """Receive until cancelled; subscribe again, after `RETRY_S`, whenever the server is lost."""
        while True:
            try:
                await self._receive()
            except RedisUnavailable as error:
                self.is_live = False
                self._outage.begin(error)
            await asyncio.sleep(RETRY_S)

    async def _receive(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            unanswered_pings = 0
            while True:
                self._redis.require_current(pubsub)
                message = await pubsub.get_message(timeout=PING_EVERY_S)
                if message is not None:
                    unanswered_pings = 0
                    await self._handle(message["type"], message["data"])
                elif unanswered_pings == MAX_UNANSWERED_PINGS:
                    raise TimeoutError("silent")
                else:
                    await pubsub.ping()
                    unanswered_pings += 1

    async def _handle(self, kind: str, content: bytes) -> None:
        if kind == "subscribe":
            self.is_live = True
            self._outage.end()
            await self._on_subscribed()
        elif kind == "message":
            await self._on_message(content)
