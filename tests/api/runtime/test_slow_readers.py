"""A client that does not read a response must not hold its memory forever."""

import asyncio
import socket
from contextlib import suppress

from aiohttp import web

from shared.runtime.process.serve import listen

HOST = "127.0.0.1"
MUCH = b"x" * 32 * 1024 * 1024


async def test_client_that_does_not_read_is_disconnected() -> None:
    app = web.Application()
    app.router.add_get("/", _send_much)
    loop = asyncio.get_running_loop()

    async with listen(app, HOST, 0, response_limit_s=0.3) as port:
        with socket.socket() as caller:
            caller.setblocking(False)
            await loop.sock_connect(caller, (HOST, port))
            await loop.sock_sendall(caller, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(1.0)
            received = await _count_received(caller)

    assert received < len(MUCH)


async def _send_much(_request: web.Request) -> web.Response:
    return web.Response(body=MUCH)


async def _count_received(caller: socket.socket) -> int:
    """Return the number of bytes received until the connection ends."""
    count = 0
    with suppress(ConnectionResetError):
        async with asyncio.timeout(10):
            while piece := await asyncio.get_running_loop().sock_recv(caller, 1024 * 1024):
                count += len(piece)
                if count >= len(MUCH):
                    break
    return count
