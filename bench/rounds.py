"""`python -m bench.rounds`: send two or more kinds of request alternately from a process of its own, and measure both.

Each kind has its own keep-alive connections. Each connection sends its next request when the previous one is answered.
Rounds are short and the kinds alternate, so that other load on the machine affects all of them alike. Where the
operating system allows it, the measured servers get a core of their own.
"""

import asyncio
import itertools
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final, cast

import msgspec
import psutil
import uvloop

from bench.errors import BenchError
from pollgate.client import ClientError


@contextmanager
def pin_apart(measured: Collection[int], others: Collection[int]) -> Generator[int | None, None, None]:
    """Run the measured processes on one core, and the others and their children on the rest, during the block.

    Yield the number of that core, or `None` on a machine with one core or without such a system call.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        yield None
        return
    _pin(measured, cores[:1])
    _pin(_with_children(others), cores[1:])
    try:
        yield cores[0]
    finally:
        _pin([*measured, *_with_children(others)], cores)


def keep_off(core: int | None) -> None:
    """Run this process on the other cores."""
    if core is not None:
        os.sched_setaffinity(0, os.sched_getaffinity(0) - {core})


def _pin(pids: Collection[int], cores: Collection[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.sched_setaffinity(pid, cores)


def _with_children(pids: Collection[int]) -> list[int]:
    return [
        each for pid in pids for each in (pid, *(child.pid for child in psutil.Process(pid).children(recursive=True)))
    ]


ANSWER_LIMIT_S: Final = 10.0
COUNTER: Final = "{n}"
_GOOD: Final = b"HTTP/1.1 2"
_LENGTH: Final = b"\r\nContent-Length: "
_COUNTER: Final = COUNTER.encode()
_END: Final = b"\r\n\r\n"


class RequestKind(msgspec.Struct, frozen=True, kw_only=True):
    """A request to the server on a port, which is the process `pid`.

    The connections take the `paths` in turn. `COUNTER` in a path stands for a number that no other request has.
    """

    port: int
    pid: int
    paths: Sequence[str]
    headers: Mapping[str, str] = {}
    method: str = "GET"
    body: str = ""

    def request(self, connection: int) -> bytes:
        """Return the bytes to send on a connection."""
        headers = {"Host": "127.0.0.1", **self.headers}
        if self.body:
            headers["Content-Length"] = str(len(self.body.encode()))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        path = self.paths[connection % len(self.paths)]
        return f"{self.method} {path} HTTP/1.1\r\n{lines}\r\n{self.body}".encode()


def bearer(token: str) -> Mapping[str, str]:
    """Return the header with an access token."""
    return {"Authorization": f"Bearer {token}"}


class RoundsOrder(msgspec.Struct, frozen=True):
    """What to send: rounds of each kind, and before them one that is not measured. Avoids the core of the servers."""

    kinds: Sequence[RequestKind]
    connections: int
    rounds: int
    round_s: float
    servers_core: int | None = None


class Rounds(msgspec.Struct, frozen=True):
    """The result of one kind of request. `rates` are the requests per second of each round."""

    rates: Sequence[float]
    server_us: Sequence[float]
    """The server's processor time per request in each round, in microseconds."""
    busy: float
    """The server's processor time divided by the elapsed time."""
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """The median of the requests per second."""
        return statistics.median(self.rates)

    @property
    def server_median_us(self) -> float:
        """The median of the server's processor time per request."""
        return statistics.median(self.server_us)


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """Return the median ratio of neighbouring rounds."""
    return statistics.median(above / below for above, below in zip(numerator, denominator, strict=True))


async def send_rounds(order: RoundsOrder) -> list[Rounds]:
    """Send from a process of its own, and return the result of each kind. Raise `BenchError` if a request fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.rounds",
        msgspec.json.encode(order).decode(),
        stdout=subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
    if process.returncode:
        raise BenchError("not all requests succeeded; see above")
    return msgspec.json.decode(output, type=list[Rounds])


class _Sender(asyncio.Protocol):
    """One connection. From `start` to `stop`, it sends a request as soon as the previous one is answered."""

    def __init__(self, request: bytes, times_s: list[float], numbers: Iterator[int]) -> None:
        self._request = request
        self._times_s = times_s
        self._numbers = numbers if _COUNTER in request else None
        self._response = b""
        self._sent_at = 0.0
        self._is_sending = False
        self._finished: asyncio.Future[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Implement `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)

    def start(self) -> None:
        """Start sending."""
        self._is_sending, self._finished = True, asyncio.get_running_loop().create_future()
        self._send()

    async def stop(self) -> None:
        """Stop sending, and wait for the last response."""
        self._is_sending = False
        async with asyncio.timeout(ANSWER_LIMIT_S):
            await self._finished

    def data_received(self, data: bytes) -> None:
        """Implement `asyncio.Protocol`."""
        self._response += data
        head, end, body = self._response.partition(_END)
        if not end or len(body) < int(head.partition(_LENGTH)[2].partition(b"\r\n")[0]):
            return
        self._times_s.append(time.perf_counter() - self._sent_at)
        is_good, self._response = head.startswith(_GOOD), b""
        if not is_good:
            self._finished.set_exception(BenchError(f"answered with {head.partition(_END)[0][:60]!r} {body[:300]!r}"))
        elif self._is_sending:
            self._send()
        else:
            self._finished.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Implement `asyncio.Protocol`."""
        if not self._finished.done():
            self._finished.set_exception(exc or ConnectionResetError("the server has closed the connection"))

    def _send(self) -> None:
        request = self._request
        if self._numbers is not None:
            request = request.replace(_COUNTER, b"%d" % next(self._numbers))
        self._sent_at = time.perf_counter()
        self._transport.write(request)


class _Measurement:
    """All rounds of one kind of request."""

    def __init__(self, kind: RequestKind) -> None:
        self._kind = kind
        self._server = psutil.Process(kind.pid)
        self._senders: list[_Sender] = []
        self._times_s: list[float] = []
        self._rates: list[float] = []
        self._server_us: list[float] = []
        self._busy_s = self._all_s = 0.0
        self._all_times_s: list[float] = []

    async def open(self, connections: int) -> None:
        loop, numbers = asyncio.get_running_loop(), itertools.count()
        for number in range(connections):
            sender = _Sender(self._kind.request(number), self._times_s, numbers)
            await loop.create_connection(lambda sender=sender: sender, "127.0.0.1", self._kind.port)  # type: ignore[misc]
            self._senders.append(sender)

    async def round(self, seconds: float, *, is_measured: bool) -> None:
        self._times_s.clear()
        started, busy_before_s = time.perf_counter(), self._processor_time_s()
        for sender in self._senders:
            sender.start()
        await asyncio.sleep(seconds)
        for sender in self._senders:
            await sender.stop()
        took_s, busy_s = time.perf_counter() - started, self._processor_time_s() - busy_before_s
        if is_measured:
            self._rates.append(len(self._times_s) / took_s)
            self._server_us.append(busy_s / len(self._times_s) * 1_000_000)
            self._busy_s += busy_s
            self._all_s += took_s
            self._all_times_s += self._times_s

    def outcome(self) -> Rounds:
        times_ms = sorted(each * 1000 for each in self._all_times_s)
        percentiles = (times_ms[math.ceil(share * len(times_ms)) - 1] for share in (0.5, 0.95, 0.99))
        return Rounds(self._rates, self._server_us, self._busy_s / self._all_s, *percentiles)

    def _processor_time_s(self) -> float:
        times = self._server.cpu_times()
        return float(times.user + times.system)


async def _main(order: RoundsOrder) -> list[Rounds]:
    measurements = [_Measurement(kind) for kind in order.kinds]
    for each in measurements:
        await each.open(order.connections)
    for number in range(order.rounds + 1):
        for each in measurements if number % 2 else reversed(measurements):
            await each.round(order.round_s, is_measured=number > 0)
    return [each.outcome() for each in measurements]


if __name__ == "__main__":
    ordered = msgspec.json.decode(sys.argv[1], type=RoundsOrder)
    keep_off(ordered.servers_core)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            outcomes = runner.run(_main(ordered))
    except (BenchError, ClientError, OSError, TimeoutError) as error:
        sys.exit(f"bench: {error!r}")
    os.write(1, msgspec.json.encode(outcomes))
