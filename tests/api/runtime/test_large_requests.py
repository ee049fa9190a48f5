"""Bodies that do not end must not fill the memory of a process."""

import asyncio
from contextlib import AsyncExitStack

import msgspec
from aiohttp import web

from shared.runtime.http.application import create_application
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.large_requests import LARGE_BYTES, MAX_INCOMPLETE_BYTES
from shared.runtime.http.routes import PUBLIC, Route, add_routes
from shared.runtime.process.serve import listen

HOST = "127.0.0.1"
LIMIT = 8 * 1024 * 1024
COUNT = MAX_INCOMPLETE_BYTES // LIMIT


async def _read(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


class Clients:
    """Connections that send raw bytes."""

    def __init__(self, port: int, closing: AsyncExitStack) -> None:
        self._port = port
        self._closing = closing

    async def begin(self, headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send the headers of a request, and wait until the server is ready for its body, or refuses it."""
        reader, writer = await asyncio.open_connection(HOST, self._port)
        self._closing.callback(writer.close)
        writer.write(f"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{headers}\r\n\r\n".encode())
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        return reader, writer

    async def status(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        """Return status and body of the response."""
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length))


async def test_large_body_beyond_those_being_received_returns_503_and_a_small_one_200() -> None:
    app = create_application({}, str)
    add_routes(app, [Route("POST", "/", Endpoint(_read), PUBLIC, body_limit=LIMIT)])
    async with listen(app, HOST, 0) as port, AsyncExitStack() as closing:
        clients = Clients(port, closing)
        incomplete = [await clients.begin(f"Content-Length: {LIMIT}") for _ in range(COUNT - 1)]
        incomplete.append(await clients.begin("Transfer-Encoding: chunked"))
        reader, _ = await clients.begin(f"Content-Length: {LARGE_BYTES + 1}")
        refused, problem = await clients.status(reader)

        reader, writer = await clients.begin(f"Content-Length: {LARGE_BYTES}")
        writer.write(b"a" * LARGE_BYTES)
        small, _ = await clients.status(reader)

        reader, writer = incomplete[-1]
        writer.write(b"1\r\na\r\n0\r\n\r\n")
        completed = await clients.status(reader)
        reader, writer = await clients.begin(f"Content-Length: {LARGE_BYTES + 1}")
        writer.write(b"a" * (LARGE_BYTES + 1))
        later, _ = await clients.status(reader)

    assert (refused, small, completed, later) == (503, 200, (200, b"1"), 200)
    assert "Too many large bodies" in msgspec.json.decode(problem)["detail"]
