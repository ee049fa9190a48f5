"""`python -m bench.rounds`: sends two or more kinds of request turn about, from a process of its own; says how it went.

Each kind has connections of its own, kept open, each of which sends its next request when it has the answer to the one
before. The rounds are short and the kinds alternate, so that whatever else the machine does meets all of them alike.
"""

import asyncio
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final, cast

import msgspec
import psutil
import uvloop

from bench.cores import keep_off
from bench.errors import BenchError
from pollgate.client import ClientError

ANSWER_LIMIT_S: Final = 10.0
_GOOD: Final = b"HTTP/1.1 200 "
_LENGTH: Final = b"\r\nContent-Length: "
_END: Final = b"\r\n\r\n"


class Kind(msgspec.Struct, frozen=True):
    """A GET at a port, whose server is the process `pid`."""

    port: int
    pid: int
    path: str
    token: str

    @property
    def request(self) -> bytes:
        """As it goes over the wire."""
        head = f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.token}\r\n\r\n"
        return head.encode()


class RoundsOrder(msgspec.Struct, frozen=True):
    """What to send: so many rounds of each kind after one that does not count. Keeps off the core of the servers."""

    kinds: Sequence[Kind]
    connections: int
    rounds: int
    round_s: float
    servers_core: int | None = None


class Rounds(msgspec.Struct, frozen=True):
    """How it went with one kind: requests a second in each round, the server's time on a processor, and the times."""

    rates: Sequence[float]
    server_us: Sequence[float]
    """Microseconds of the server's processor time for a request, in each round."""
    busy: float
    """The share of the time in which the server had the processor."""
    p50_ms: float
    p95_ms: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return statistics.median(self.rates)

    @property
    def server_median_us(self) -> float:
        """The server's processor time for a request."""
        return statistics.median(self.server_us)


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """The median of one round's ratio to the next one's, which were under way at about the same time."""
    return statistics.median(above / below for above, below in zip(numerator, denominator, strict=True))


async def send_rounds(order: RoundsOrder) -> list[Rounds]:
    """What came of each kind, sent from a process of its own. Raises `BenchError` where an answer was no success."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.rounds", msgspec.json.encode(order).decode()), stdout=subprocess.PIPE
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
    if process.returncode:
        raise BenchError("the requests were not all answered with success; see above")
    return msgspec.json.decode(said, type=list[Rounds])


class _Sender(asyncio.Protocol):
    """One connection: while it is told to go on, it sends as soon as it has been answered."""

    def __init__(self, request: bytes, times_s: list[float]) -> None:
        self._request = request
        self._times_s = times_s
        self._answer = b""
        self._sent_at = 0.0
        self._goes_on = False
        self._rested: asyncio.Future[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio."""
        self._transport = cast(asyncio.Transport, transport)

    def start(self) -> None:
        """Begin to send."""
        self._goes_on, self._rested = True, asyncio.get_running_loop().create_future()
        self._send()

    async def stop(self) -> None:
        """Send no more, and wait for the last answer."""
        self._goes_on = False
        async with asyncio.timeout(ANSWER_LIMIT_S):
            await self._rested

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        self._answer += data
        head, end, body = self._answer.partition(_END)
        if not end or len(body) < int(head.partition(_LENGTH)[2].partition(b"\r\n")[0]):
            return
        self._times_s.append(time.perf_counter() - self._sent_at)
        is_good, self._answer = head.startswith(_GOOD), b""
        if not is_good:
            self._rested.set_exception(BenchError(f"answered with {head.partition(_END)[0][:60]!r} {body[:300]!r}"))
        elif self._goes_on:
            self._send()
        else:
            self._rested.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio."""
        if not self._rested.done():
            self._rested.set_exception(exc or ConnectionResetError("the server has closed the connection"))

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)


class _Turns:
    """All rounds of one kind."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._server = psutil.Process(kind.pid)
        self._senders: list[_Sender] = []
        self._times_s: list[float] = []
        self._rates: list[float] = []
        self._server_us: list[float] = []
        self._busy_s = self._all_s = 0.0
        self._all_times_s: list[float] = []

    async def open(self, connections: int) -> None:
        def new_sender() -> _Sender:
            return _Sender(self._kind.request, self._times_s)

        loop = asyncio.get_running_loop()
        opened = [await loop.create_connection(new_sender, "127.0.0.1", self._kind.port) for _ in range(connections)]
        self._senders = [sender for _, sender in opened]

    async def round(self, seconds: float, *, counts: bool) -> None:
        self._times_s.clear()
        started, busy_before_s = time.perf_counter(), self._busy()
        for sender in self._senders:
            sender.start()
        await asyncio.sleep(seconds)
        for sender in self._senders:
            await sender.stop()
        took_s, busy_s = time.perf_counter() - started, self._busy() - busy_before_s
        if counts:
            self._rates.append(len(self._times_s) / took_s)
            self._server_us.append(busy_s / len(self._times_s) * 1_000_000)
            self._busy_s += busy_s
            self._all_s += took_s
            self._all_times_s += self._times_s

    def outcome(self) -> Rounds:
        times_ms = sorted(each * 1000 for each in self._all_times_s)
        p50, p95 = (times_ms[math.ceil(share * len(times_ms)) - 1] for share in (0.5, 0.95))
        return Rounds(self._rates, self._server_us, self._busy_s / self._all_s, p50, p95)

    def _busy(self) -> float:
        times = self._server.cpu_times()
        return float(times.user + times.system)


async def _main(order: RoundsOrder) -> list[Rounds]:
    turns = [_Turns(kind) for kind in order.kinds]
    for each in turns:
        await each.open(order.connections)
    for number in range(order.rounds + 1):
        for each in turns if number % 2 else reversed(turns):
            await each.round(order.round_s, counts=number > 0)
    return [each.outcome() for each in turns]


if __name__ == "__main__":
    ordered = msgspec.json.decode(sys.argv[1], type=RoundsOrder)
    keep_off(ordered.servers_core)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            outcomes = runner.run(_main(ordered))
    except (BenchError, ClientError, OSError, TimeoutError) as error:
        sys.exit(f"bench: {error!r}")
    os.write(1, msgspec.json.encode(outcomes))
