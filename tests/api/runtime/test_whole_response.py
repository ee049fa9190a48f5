"""A response that is sent in one piece is the one that aiohttp would send."""

import asyncio
import re
from collections.abc import AsyncGenerator

import pytest
from aiohttp import web

from shared.runtime.http.application import create_application
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.json_response import json_bytes
from shared.runtime.http.routes import PUBLIC, Route, add_routes
from shared.runtime.http.whole_response import MAX_BYTES
from shared.runtime.process.serve import listen

HOST = "127.0.0.1"
REQUESTS = {
    "plain": "GET /{} HTTP/1.1\r\nHost: x\r\n\r\n",
    "last on its connection": "GET /{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "HTTP/1.0": "GET /{} HTTP/1.0\r\n\r\n",
    "HTTP/1.0 with keep-alive": "GET /{} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "HEAD": "HEAD /{} HTTP/1.1\r\nHost: x\r\n\r\n",
    "pipelined": "GET /{0} HTTP/1.1\r\nHost: x\r\n\r\nGET /{0} HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.fixture
async def port() -> AsyncGenerator[int, None]:
    """Run a service that sends the same bodies as aiohttp's response and in one piece."""
    app = create_application({}, redact=lambda text: text)

    def body_of(request: web.Request) -> bytes:
        return b"x" * int(request.match_info["size"])

    async def usual(request: web.Request) -> web.Response:
        headers = {"Content-Type": "application/json", "ETag": '"1"'}
        return web.Response(status=201, body=body_of(request), headers=headers)

    async def whole(request: web.Request) -> web.Response:
        return json_bytes(body_of(request), status=201, headers={"ETag": '"1"'})

    for name, handler in (("usual", usual), ("whole", whole)):
        add_routes(app, [Route("GET", f"/{name}/{{size}}", Endpoint(handler), PUBLIC)])
    async with listen(app, HOST, 0) as bound:
        yield bound


@pytest.mark.parametrize("size", [0, 1, MAX_BYTES - 1, MAX_BYTES, 10 * MAX_BYTES])
@pytest.mark.parametrize("kind", REQUESTS)
async def test_response_has_the_same_bytes(port: int, kind: str, size: int) -> None:
    usual, whole = [await send(port, REQUESTS[kind].format(f"{name}/{size}")) for name in ("usual", "whole")]

    assert whole == usual
    assert usual.startswith((b"HTTP/1.1 201 Created\r\n", b"HTTP/1.0 201 Created\r\n"))


async def test_client_that_has_left_does_no_harm(port: int) -> None:
    for _ in range(20):
        _, writer = await asyncio.open_connection(HOST, port)
        writer.write(REQUESTS["plain"].format("whole/1000").encode())
        writer.transport.abort()

    assert await send(port, REQUESTS["plain"].format("whole/1"))


async def send(port: int, request: str) -> bytes:
    """Return all that is received within a short time, without dates and ids, and whether the connection was closed."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request.encode())
    received, closed = b"", False
    try:
        while True:
            async with asyncio.timeout(0.3):
                chunk = await reader.read(65536)
            if not chunk:
                closed = True
                break
            received += chunk
    except TimeoutError:
        pass
    writer.close()
    return re.sub(rb"(Date|X-Request-ID): [^\r]*", rb"\1", received) + (b"closed" if closed else b"open")
