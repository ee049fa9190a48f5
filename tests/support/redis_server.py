"""Run a separate Redis with the users of a test."""

import asyncio
import secrets
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from pollgate.stack.embedded import redis_command
from shared.runtime.redis.client import redis_client
from shared.runtime.redis.errors import RedisUnavailable
from tests.support.ports import take_port

ADMIN_PASSWORD = secrets.token_hex(16)
_ADMIN = f"user admin on >{ADMIN_PASSWORD} allkeys allchannels +@all\n"


class RedisServer:
    """A running Redis."""

    def __init__(self, port: int) -> None:
        self._port = port

    def url(self, user: str = "admin", password: str = ADMIN_PASSWORD) -> str:
        """Return the URL for a user, by default for the administrator."""
        return f"redis://{user}:{password}@127.0.0.1:{self._port}"


@asynccontextmanager
async def run_redis_server(folder: Path, users: str) -> AsyncGenerator[RedisServer, None]:
    """Run a Redis with the users of an ACL file and an administrator during the block."""
    server = RedisServer(take_port())
    command = redis_command(folder, users + _ADMIN, server._port)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(20), redis_client(server.url()) as client:
            while True:
                try:
                    await client.ping()
                except RedisUnavailable:
                    await asyncio.sleep(0.05)
                else:
                    break
        yield server
    finally:
        process.terminate()
        process.wait(10)
