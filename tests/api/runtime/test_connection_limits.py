"""Slow headers, and many connections of one address, must not hold the places of others."""

import asyncio
import resource
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple

import msgspec
import pytest
from aiohttp import web

from shared.runtime.http.application import create_application
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.metrics import METRICS, add_metrics
from shared.runtime.http.routes import PUBLIC, Route, add_routes
from shared.runtime.process.connection_limits import RESERVED_FILES, ConnectionLimits
from shared.runtime.process.serve import listen

HOST: Final = "127.0.0.1"
SLOW: Final = 30.0
"""A limit that no test reaches."""
GET: Final = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UNFINISHED: Final = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\na"


class Client(NamedTuple):
    """A connection that sends raw bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def begin_request(self) -> None:
        """Send a part of a request, and wait until the server has read its headers."""
        await self.send(UNFINISHED)
        async with asyncio.timeout(10):
            assert (await self.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")

    async def status(self) -> int:
        """Read one response, and return its status."""
        return (await self.response())[0]

    async def response(self) -> tuple[int, bytes]:
        """Return the status and the body of the next response."""
        async with asyncio.timeout(10):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            return int(head.split(b" ", 2)[1]), await self.reader.readexactly(int(length))

    async def is_closed(self) -> bool:
        """Wait until the server closes the connection."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True


class Server:
    """A running application with limits of connections."""

    def __init__(self, app: web.Application, port: int, clients: AsyncExitStack) -> None:
        self.app = app
        self._port = port
        self._clients = clients

    async def connect(self, address: str = HOST) -> Client:
        reader, writer = await asyncio.open_connection(HOST, self._port, local_addr=(address, 0))
        self._clients.callback(writer.close)
        return Client(reader, writer)

    async def connect_and_ask(self, address: str = HOST) -> Client:
        """Return a connection from this address that has had a response."""
        client = await self.connect(address)
        await client.send(GET)
        assert await client.status() == 200
        return client

    def refused(self, why: str) -> float:
        return self.app[METRICS].get_sample_value("pollgate_connections_refused_total", {"why": why}) or 0.0

    def open_connections(self) -> float:
        return self.app[METRICS].get_sample_value("pollgate_connections") or 0.0


async def _read(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


@asynccontextmanager
async def run_server(limits: ConnectionLimits) -> AsyncGenerator[Server, None]:
    app = create_application({}, str)
    add_metrics(app)
    add_routes(app, [Route(method, "/", Endpoint(_read), PUBLIC) for method in ("GET", "POST")])
    async with listen(app, HOST, 0, limits) as port, AsyncExitStack() as clients:
        yield Server(app, port, clients)


async def test_headers_that_arrive_too_slowly_return_408_and_end_the_connection() -> None:
    async with run_server(ConnectionLimits(header_limit_s=0.3)) as server:
        client = await server.connect()
        await client.send(GET[:-2])
        status, body = await client.response()
        closed = await client.is_closed()
        refused = server.refused("headers")

    assert (status, closed, refused) == (408, True, 1)
    assert msgspec.json.decode(body)["detail"] == "The headers did not arrive within 0.3 seconds."


async def test_headers_that_drip_do_not_extend_their_limit() -> None:
    loop = asyncio.get_running_loop()
    async with run_server(ConnectionLimits(header_limit_s=0.5)) as server:
        client = await server.connect()
        started = loop.time()
        answered = asyncio.create_task(client.status())
        await client.send(GET[:-2])
        while not answered.done():
            client.writer.write(b"X-Drip: 1\r\n")
            await asyncio.wait({answered}, timeout=0.05)
        took_s = loop.time() - started

    assert answered.result() == 408
    assert took_s >= 0.49


async def test_connection_without_a_byte_is_closed() -> None:
    async with run_server(ConnectionLimits(header_limit_s=0.2)) as server:
        client = await server.connect()
        closed = await client.is_closed()

    assert closed


async def test_slow_headers_of_second_request_return_408() -> None:
    async with run_server(ConnectionLimits(header_limit_s=0.3)) as server:
        client = await server.connect_and_ask()
        await client.send(GET[:5])
        status = await client.status()

    assert status == 408


async def test_connection_that_is_idle_after_a_request_stays_open() -> None:
    limit_s = 0.2
    async with run_server(ConnectionLimits(header_limit_s=limit_s)) as server:
        idle = await server.connect_and_ask()
        silent = await server.connect()
        await silent.is_closed()  # the limit has passed, for the other connection too
        await idle.send(GET)
        status = await idle.status()

    assert status == 200


async def test_slow_body_is_not_taken_for_slow_headers() -> None:
    async with run_server(ConnectionLimits(header_limit_s=0.2)) as server:
        client = await server.connect()
        await client.begin_request()
        silent = await server.connect()
        await silent.is_closed()
        await client.send(b"b")
        status, body = await client.response()

    assert (status, body) == (200, b"2")


async def test_connection_beyond_limit_of_address_is_closed_until_another_one_ends() -> None:
    async with run_server(ConnectionLimits(header_limit_s=SLOW, per_address=2)) as server:
        first, _ = await server.connect_and_ask(), await server.connect_and_ask()
        refused = await (await server.connect()).is_closed()
        count = server.refused("address")
        first.writer.close()
        async with asyncio.timeout(10):
            while server.open_connections() > 1:
                await asyncio.sleep(0.01)
        third = await server.connect_and_ask()
        await third.send(GET)
        status = await third.status()

    assert (refused, count, status) == (True, 1, 200)


async def test_new_connection_takes_the_place_of_the_oldest_without_a_request() -> None:
    async with run_server(ConnectionLimits(header_limit_s=SLOW, total=3, per_address=None)) as server:
        used = await server.connect_and_ask()
        idle = await server.connect()
        await idle.send(GET[:5])
        async with asyncio.timeout(10):
            while server.open_connections() < 2:
                await asyncio.sleep(0.01)
        newer = await server.connect()
        async with asyncio.timeout(10):
            while server.open_connections() < 3:
                await asyncio.sleep(0.01)
        last = await server.connect_and_ask()
        ended = await idle.is_closed()
        for client in (used, newer, last):
            await client.send(GET)
        statuses = [await client.status() for client in (used, newer, last)]

    assert ended
    assert statuses == [200] * 3


async def test_new_connection_takes_the_place_of_the_one_that_is_idle_for_longest() -> None:
    async with run_server(ConnectionLimits(header_limit_s=SLOW, total=3, per_address=None)) as server:
        idle, later, busy = [await server.connect_and_ask() for _ in range(3)]
        await busy.begin_request()
        await idle.send(GET)
        assert await idle.status() == 200
        newest = await server.connect_and_ask()
        ended = await later.is_closed()
        await busy.send(b"b")
        for client in (idle, newest):
            await client.send(GET)
        statuses = [await client.status() for client in (idle, busy, newest)]

    assert ended
    assert statuses == [200] * 3


async def test_idle_connections_of_many_addresses_keep_no_other_one_out() -> None:
    async with run_server(ConnectionLimits(header_limit_s=SLOW, total=8, per_address=1)) as server:
        for number in range(2, 10):
            await server.connect_and_ask(f"127.0.0.{number}")
        statuses = []
        for _ in range(3):
            client = await server.connect_and_ask()
            await client.send(GET)
            statuses.append(await client.status())
            client.writer.close()
            async with asyncio.timeout(10):
                while server.open_connections() == 8:
                    await asyncio.sleep(0.01)

    assert statuses == [200] * 3


async def test_connection_beyond_total_is_closed_if_requests_run_on_all_others() -> None:
    async with run_server(ConnectionLimits(header_limit_s=SLOW, total=2, per_address=None)) as server:
        used = [await server.connect() for _ in range(2)]
        for client in used:
            await client.begin_request()
        closed = await (await server.connect()).is_closed()
        for client in used:
            await client.send(b"b")
        statuses = [await client.status() for client in used]

    assert closed
    assert statuses == [200, 200]


def test_limit_by_address_is_an_eighth_and_ends_with_a_proxy_in_front() -> None:
    limits, proxied = ConnectionLimits.of(80, proxy_hops=0), ConnectionLimits.of(80, proxy_hops=1)

    assert (limits.total, limits.per_address) == (80, 10)
    assert proxied.per_address is None


def test_limit_of_open_files_is_raised_and_lowers_that_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (50, RESERVED_FILES + 100))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))

    limits = ConnectionLimits.of(1000, proxy_hops=0)

    assert limits.total == 100
    assert raised == [(RESERVED_FILES + 100, RESERVED_FILES + 100)]
