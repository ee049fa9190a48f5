"""Calls to Redis that are made at the same time, and subscriptions at a server that is killed."""

import asyncio
import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

from shared.runtime.redis.client import RedisClient, redis_client
from shared.runtime.redis.errors import RedisUnavailable

COUNT = 500
ATTEMPTS = 40
TOGETHER = 20
HOST = "127.0.0.1"
RESET = struct.pack("ii", 1, 0)


async def test_many_calls_at_once_all_get_an_answer(redis_url: str) -> None:
    async with redis_client(redis_url) as redis:
        answers = await asyncio.gather(*(redis.send("PING") for _ in range(COUNT)), return_exceptions=True)

    assert [str(answer) for answer in answers if isinstance(answer, Exception)] == []
    assert len(answers) == COUNT


async def test_server_that_resets_connections_at_once_is_unavailable_for_subscriptions() -> None:
    kinds = set()
    with run_resetting_server() as port:
        async with redis_client(f"redis://{HOST}:{port}") as redis:
            for _ in range(ATTEMPTS):
                calls = [subscribe(redis) for _ in range(TOGETHER)]
                kinds |= {type(answer) for answer in await asyncio.gather(*calls, return_exceptions=True)}

    assert kinds == {RedisUnavailable}


async def subscribe(redis: RedisClient) -> None:
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe("channel")
        await pubsub.get_message(timeout=1.0)


@contextmanager
def run_resetting_server() -> Generator[int, None, None]:
    """Accept connections and reset them, as a server does that is killed. Yield the port."""
    with socket.create_server((HOST, 0), backlog=COUNT) as listener:
        thread = threading.Thread(target=_reset_all, args=[listener])
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _reset_all(listener: socket.socket) -> None:
    with suppress(OSError):  # the listener is shut down
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()
