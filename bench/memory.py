"""Measure what a process keeps in memory for each token, secret, address and connection.

`python -m bench.memory` prints the bytes of a connection: a process that has already used more memory would reuse it.
"""

import asyncio
import gc
import os
import secrets
import socket
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Address
from typing import Any, Final
from uuid import uuid4

import msgspec
import psutil
import uvloop
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from bench.errors import BenchError
from bench.report import Figure
from services.token_authority.domain.change_log import LoggedChange
from services.token_authority.tasks.restoration import KEPT_S, MAX_KEPT
from shared.contract.change import Change
from shared.guard.follower import CHANGES_KEPT_S, MAX_CHANGES_KEPT
from shared.guard.origin import Origin
from shared.guard.tombstones import MAX_TOMBSTONES, Tombstones
from shared.guard.usage import MAX_SECRETS, Usage
from shared.runtime.http.client_address import FORWARDED_FOR
from shared.runtime.http.open_requests import MAX_ADDRESSES, OpenRequestLimit
from shared.runtime.http.routes import Excess
from shared.runtime.process.clock import elapsed_s
from shared.runtime.process.connection_limits import ConnectionLimits
from shared.runtime.process.recent_values import RecentValues
from shared.runtime.process.serve import listen
from shared.runtime.redis.rate_limit import MAX_KEYS, MEMORY_PARTS
from shared.runtime.redis.rate_window import BoundedMemory

CONNECTIONS: Final = 1000
_RECEIPT_LENGTH: Final = 54
_HOST: Final = "127.0.0.1"
_REQUEST: Final = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
_BROWSER: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0"
)
_RESPONSE: Final = web.Response()

Fill = Callable[[], Awaitable[Any]]
"""Return an object with everything that is to be measured."""


async def memory_figures() -> list[Figure]:
    """Fill each of them to its limit, and divide the memory by the number of entries."""
    kinds: dict[str, tuple[Fill, int]] = {
        "use of a secret, by a program": (partial(_count_uses, "curl/8.5.0"), MAX_SECRETS),
        "use of a secret, by a browser": (partial(_count_uses, _BROWSER), MAX_SECRETS),
        "changed token (tombstone)": (_add_tombstones, MAX_TOMBSTONES),
        "change that a guard keeps": (_keep_changes, MAX_CHANGES_KEPT),
        "change that the authority keeps": (_keep_own_changes, MAX_KEPT),
        "count of a rate limit": (_count_requests, MAX_KEYS),
        "address on open routes": (_count_addresses, MAX_ADDRESSES),
    }
    measured = {what: await _bytes_of(fill) / count for what, (fill, count) in kinds.items()}
    measured["idle connection"] = await _ask_for_connection()
    return [Figure("memory", what, value, "bytes") for what, value in measured.items()]


async def _bytes_of(fill: Fill) -> int:
    """Return the bytes that Python has allocated for what `fill` returns."""
    await fill()  # fills the caches of other modules too
    gc.collect()
    tracemalloc.start()
    try:
        kept = await fill()
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        del kept
        return size
    finally:
        tracemalloc.stop()


async def _count_uses(user_agent: str) -> Usage:
    usage = Usage(elapsed_s)
    for number in range(MAX_SECRETS):
        origin = Origin(_address(number), (), _copy(user_agent))
        usage.count(f"tok_{number:024x}", f"sec_{number:024x}", origin)
    return usage


async def _add_tombstones() -> Tombstones:
    tombstones = Tombstones()
    for number in range(MAX_TOMBSTONES):
        tombstones.add(os.urandom(32), 2**32 + number)
    return tombstones


async def _keep_changes() -> RecentValues[Change]:
    """Keep changes as they arrive, in JSON."""
    kept = RecentValues[Change](MAX_CHANGES_KEPT, CHANGES_KEPT_S, elapsed_s)
    for number in range(MAX_CHANGES_KEPT):
        sent = Change(2**32 + number, secrets.token_hex(32), receipt=secrets.token_hex(_RECEIPT_LENGTH // 2))
        kept.add(msgspec.json.decode(msgspec.json.encode(sent), type=Change))
    return kept


async def _keep_own_changes() -> RecentValues[LoggedChange]:
    kept, now = RecentValues[LoggedChange](MAX_KEPT, KEPT_S, elapsed_s), datetime.now(UTC)
    for number in range(MAX_KEPT):
        kept.add(LoggedChange(2**32 + number, secrets.token_hex(32), uuid4(), now + timedelta(seconds=number)))
    return kept


async def _count_requests() -> BoundedMemory:
    memory = BoundedMemory(MAX_KEYS, MEMORY_PARTS)
    for number in range(MAX_KEYS):
        await memory.hit(f"tok_{number:024x}", limit=600, cost=1)
    if len(memory) < MAX_KEYS * 0.9:
        raise BenchError("the counts of rate limits were not kept")
    return memory


async def _count_addresses() -> Any:
    async def respond(_request: web.Request) -> web.StreamResponse:
        return _RESPONSE

    handler = OpenRequestLimit(600, 1).wrap(Excess.WAIT, respond)
    for number in range(MAX_ADDRESSES):
        await handler(make_mocked_request("GET", "/", headers={FORWARDED_FOR: _address(number)}))
    return handler


async def _ask_for_connection() -> float:
    """Return the bytes of a connection, measured in a process of its own."""
    command = (sys.executable, "-m", "bench.memory")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise BenchError("the memory of connections could not be measured")
    return float(output)


async def _measure_connection() -> float:
    """Return the memory of this process per open connection on which one request was responded to, in bytes."""

    async def respond(_request: web.Request) -> web.StreamResponse:
        return web.Response()

    app, process, loop = web.Application(), psutil.Process(), asyncio.get_running_loop()
    app.router.add_get("/", respond)
    clients: list[socket.socket] = []
    async with listen(app, _HOST, 0, ConnectionLimits(per_address=None)) as port:

        async def connect() -> None:
            client = socket.socket()
            client.setblocking(False)
            clients.append(client)
            await loop.sock_connect(client, (_HOST, port))
            await loop.sock_sendall(client, _REQUEST)
            await loop.sock_recv(client, 1000)

        try:
            await connect()
            before = process.memory_full_info().uss
            for _ in range(CONNECTIONS):
                await connect()
            gc.collect()
            return (process.memory_full_info().uss - before) / CONNECTIONS
        finally:
            for client in clients:
                client.close()


def _address(number: int) -> str:
    return str(IPv4Address("198.18.0.0") + number)


def _copy(text: str) -> str:
    """Return a string of its own, as each request has one."""
    return text.encode().decode()


if __name__ == "__main__":
    print(uvloop.run(_measure_connection()))
