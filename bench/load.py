"""`python -m bench.load`: send reads at a steady rate until SIGTERM from a process of its own, and report the result.

Each guard gets an equal share of the rate, over one connection. If a request takes longer than its interval, the ones
after it are sent without a pause, so the rate holds unless a guard cannot keep up. The report has the actual rate.

Other benches use `Connection` too: a client that takes little processor time from the service that is measured.
"""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import msgspec
import uvloop

ACCEPTED: Final = 200
REFUSED: Final = 403
LIMIT_S: Final = 5.0


class PollsUrl:
    """The URL at which a guard serves the polls of one issue."""

    def __init__(self, port: int, endpoint_id: str) -> None:
        self.port = port
        self._path = f"/x1/{endpoint_id}?type=polls&workspace=PLAT&content=PLAT-1&token="

    def request(self, token: str) -> bytes:
        """Return a GET request with the token, as bytes."""
        return f"GET {self._path}{token} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


class RawResponse(NamedTuple):
    """The status and body of a response."""

    status: int
    body: bytes


class Connection:
    """A keep-alive connection that sends one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def get(self, request: bytes) -> int:
        """Return the status of the complete response. Raise `TimeoutError`, `EOFError`, `OSError`."""
        return (await self.send(request)).status

    async def send(self, request: bytes, *, limit_s: float = LIMIT_S) -> RawResponse:
        """Return the complete response. Raise `TimeoutError`, `EOFError`, `OSError`."""
        async with asyncio.timeout(limit_s):
            self._writer.write(request)
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
            body = await self._reader.readexactly(int(length or 0))  # a 204 has none
        return RawResponse(int(head.split(b" ", 2)[1]), body)


@asynccontextmanager
async def connect(url: PollsUrl) -> AsyncGenerator[Connection, None]:
    """Open a connection for the length of the block."""
    async with connection_to(url.port) as connection:
        yield connection


@asynccontextmanager
async def connection_to(port: int) -> AsyncGenerator[Connection, None]:
    """Open a connection to a local port for the length of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


class LoadOrder(msgspec.Struct, frozen=True):
    """What to send: `rate` requests per second over all guards together."""

    rate: float
    token: str
    endpoint_id: str
    ports: Sequence[int]


class LoadReport(msgspec.Struct, frozen=True):
    """The result. `others` counts responses other than 200."""

    accepted: int
    others: int
    seconds: float

    @property
    def rate(self) -> float:
        """Accepted requests per second."""
        return self.accepted / self.seconds


async def send_load(order: LoadOrder) -> LoadReport:
    """Send until SIGTERM."""
    stop, statuses = asyncio.Event(), list[int]()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as senders:
        for number, port in enumerate(order.ports):
            url = PollsUrl(port, order.endpoint_id)
            first_at = started + number / order.rate
            senders.create_task(_send(url, order, first_at, stop, statuses))
    accepted = statuses.count(ACCEPTED)
    return LoadReport(accepted, len(statuses) - accepted, time.perf_counter() - started)


async def _send(url: PollsUrl, order: LoadOrder, first_at: float, stop: asyncio.Event, statuses: list[int]) -> None:
    due_at, request = first_at, url.request(order.token)
    async with connect(url) as connection:
        while not stop.is_set():
            await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
            statuses.append(await connection.get(request))
            due_at += len(order.ports) / order.rate


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(send_load(msgspec.json.decode(sys.argv[1], type=LoadOrder)))
    print(msgspec.json.encode(report).decode())
