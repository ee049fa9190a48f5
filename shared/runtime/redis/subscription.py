"""Follows one channel of a Redis that may fall silent without a word, and says when something may have been missed."""

from collections.abc import Awaitable, Callable
from typing import Final

from redis.asyncio import Redis

PING_EVERY_S: Final = 1.0
UNANSWERED_PINGS: Final = 3
"""After so many the server is taken for gone. Time would not do: this process may have been stopped meanwhile."""
RETRY_S: Final = 0.5
"""Between two tries to subscribe."""


async def follow_channel(
    redis: Redis,
    channel: str,
    *,
    confirmed: Callable[[], Awaitable[None]],
    received: Callable[[bytes], Awaitable[None]],
) -> None:
    """Call `received` with each message until the server is gone.

    That raises `RedisError`, `OSError` or `TimeoutError`. `confirmed` is called whenever a subscription has
    been confirmed: what was published before may have been missed.
    """
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(channel)
        unanswered = 0
        while True:
            message = await pubsub.get_message(timeout=PING_EVERY_S)
            if message is not None:
                unanswered = 0
                if message["type"] == "subscribe":
                    await confirmed()
                elif message["type"] == "message":
                    await received(message["data"])
            elif unanswered == UNANSWERED_PINGS:
                raise TimeoutError("silent")
            else:
                await pubsub.ping()
                unanswered += 1
