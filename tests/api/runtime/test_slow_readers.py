"""A client that does not read a response must not hold its memory forever."""

import asyncio
import socket
from contextlib import suppress

import aiohttp
from aiohttp import web

from shared.runtime.http.application import create_application
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.routes import PUBLIC, Route, add_routes
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


async def test_large_responses_that_are_not_read_return_503_beyond_a_limit() -> None:
    app = create_application({}, redact=lambda text: text)
    add_routes(app, [Route("GET", "/", Endpoint(_send_much), PUBLIC)])
    callers, statuses = [], []

    async with listen(app, HOST, 0) as port:
        for _ in range(3):
            callers.append(await _request(port))
            statuses.append(await _read_status(callers[-1]))
        for caller in callers:
            caller.close()
        async with aiohttp.ClientSession() as session:
            async with asyncio.timeout(10):
                while (status := await _get_status(session, port)) == 503:
                    await asyncio.sleep(0.05)

    assert statuses == [200, 200, 503]
    assert status == 200


async def _request(port: int) -> socket.socket:
    """Return a connection with a request whose response is not read."""
    caller, loop = socket.socket(), asyncio.get_running_loop()
    caller.setblocking(False)
    await loop.sock_connect(caller, (HOST, port))
    await loop.sock_sendall(caller, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return caller


async def _read_status(caller: socket.socket) -> int:
    """Return the status of the response."""
    return int((await asyncio.get_running_loop().sock_recv(caller, 12))[9:])


async def _get_status(session: aiohttp.ClientSession, port: int) -> int:
    async with session.get(f"http://{HOST}:{port}/") as response:
        await response.read()
        return response.status


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
