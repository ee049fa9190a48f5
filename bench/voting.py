"""Measure a shared voting link under load: thousands of browsers open it, vote, and see the page again.

Browsers arrive at a steady rate, whether or not earlier ones are done. Each opens the link, follows it to the page,
sends the form, and follows it to the page. One of ten sends its form twice at once. Afterwards the poll has to count
exactly one ballot of each. The times are those that the service logs, from the first byte of a request to its response.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlencode

import aiohttp
import msgspec

from bench.errors import BenchError
from bench.load import LIMIT_S
from bench.report import Figure
from bench.site import Integrator, create_full_token
from bench.stack import Running, Service, Stack

MINUTE_S: Final = 60.0
AT_REST: Final = 200
"""Browsers that come one after the other, for comparison."""
MOST_P95_MS: Final = 200.0
SENT_TWICE: Final = 10
"""One of so many browsers sends its form twice at once."""
MAX_IDLE: Final = 500
PAGE: Final = "GET /p/{link}"
VOTE: Final = "POST /p/{link}"
_FIELD: Final = re.compile(rb'name="(form_token|version)" value="([^"]*)"')
_OPTION: Final = re.compile(rb'name="option" value="([^"]*)"')


class Reply(NamedTuple):
    """What a browser needs of a response."""

    status: int
    location: str
    cookies: Sequence[str]
    body: bytes


class Connections:
    """Keep-alive connections to one port, opened as they are needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, method: str, path: str, cookie: str = "", body: bytes = b"") -> Reply:
        """Send a request as a browser does. Raise `TimeoutError` or `OSError`."""
        async with asyncio.timeout(LIMIT_S):
            connection = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = connection
            origin = f"http://127.0.0.1:{self._port}"
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nAccept: text/html\r\nOrigin: {origin}\r\n"
                f"Cookie: {cookie}\r\nContent-Length: {len(body)}\r\n"
            )
            if body:
                head += "Content-Type: application/x-www-form-urlencoded\r\n"
            writer.write(head.encode() + b"\r\n" + body)
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines[1:])]
            length = int(dict(headers).get("content-length", 0))
            reply = Reply(
                int(lines[0].split(" ", 2)[1]),
                dict(headers).get("location", ""),
                [
                    value.partition(";")[0]
                    for name, value in headers
                    if name == "set-cookie" and "Max-Age=0" not in value
                ],
                await reader.readexactly(length),
            )
        if len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            writer.close()
        return reply


class Browsers:
    """Browsers that vote by one link. `answers` counts the statuses of their votes."""

    def __init__(self, port: int, link: str) -> None:
        self._connections = Connections(port)
        self._link = link
        self.answers: Counter[int] = Counter()
        self.lost = 0

    async def vote(self, number: int) -> None:
        """Open the link as one more browser, vote, and see the page again."""
        try:
            await self._vote(number)
        except (TimeoutError, OSError):
            self.lost += 1

    async def _vote(self, number: int) -> None:
        send = self._connections.send
        opened = await send("GET", self._link)
        page = await send("GET", opened.location, "; ".join(opened.cookies))
        if page.status != 200:
            raise BenchError(f"the page returned {page.status}")
        cookie, options = "; ".join(page.cookies), _OPTION.findall(page.body)
        fields = {name.decode(): value.decode() for name, value in _FIELD.findall(page.body)}
        form = urlencode({**fields, "option": options[number % len(options)].decode()}).encode()
        copies = 2 if number % SENT_TWICE == 0 else 1
        voted = await asyncio.gather(*(send("POST", opened.location, cookie, form) for _ in range(copies)))
        self.answers.update(each.status for each in voted)
        await send("GET", opened.location, cookie)


async def voting_figures(stack: Stack, running: Running, browsers: int) -> list[Figure]:
    """Measure the page of a shared link at rest, and while many browsers vote within a minute."""
    token = await create_full_token(running.authority)
    async with (
        stack.polls(running.url, "voting") as polls,
        aiohttp.ClientSession() as session,
    ):
        log = stack.log("voting")
        at_rest, _ = await _measure(session, polls, token, log, AT_REST, None)
        loaded, crowd = await _measure(session, polls, token, log, browsers, browsers / MINUTE_S)
    part = "voting"
    return [
        Figure(part, "page at rest, p95", at_rest.p95_ms(PAGE), "ms"),
        Figure(
            part,
            f"page while {browsers:,} browsers vote in {crowd.took_s:.0f} s, p95",
            loaded.p95_ms(PAGE),
            "ms",
            most=MOST_P95_MS,
        ),
        Figure(part, "ratio of the two", loaded.p95_ms(PAGE) / at_rest.p95_ms(PAGE), ""),
        Figure(part, "vote meanwhile, p95", loaded.p95_ms(VOTE), "ms", most=MOST_P95_MS),
        Figure(part, "ballots accepted, each of them counted", crowd.counted, "", least=browsers, most=browsers),
        Figure(part, "ballots per second", crowd.counted / crowd.took_s, ""),
        Figure(part, "requests without a response", crowd.lost, "", most=0),
    ]


class Crowd(NamedTuple):
    """What came of all browsers."""

    counted: int
    lost: int
    took_s: float


class Times:
    """The times of requests by route, in seconds, as the service logs them."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self._times: dict[str, list[float]] = {}
        for line in lines:
            entry = msgspec.json.decode(line, type=_LogLine)
            if entry.route:
                self._times.setdefault(f"{entry.method} {entry.route}", []).append(entry.duration_ms)

    def p95_ms(self, route: str) -> float:
        """Return the 95th percentile of a route."""
        times = sorted(self._times[route])
        return times[int(len(times) * 0.95)]


class _LogLine(msgspec.Struct):
    method: str = ""
    route: str = ""
    duration_ms: float = 0.0


async def _measure(
    session: aiohttp.ClientSession, polls: Service, token: str, log: Path, browsers: int, rate: float | None
) -> tuple[Times, Crowd]:
    """Let so many browsers vote in a new poll, at a rate per second, or one after the other."""
    integrator = Integrator(session, polls.base, token)
    poll_id = await integrator.create_poll("VOTING")
    link = await integrator.share(poll_id)
    crowd, seen = Browsers(polls.port, link), await asyncio.to_thread(lambda: log.stat().st_size)
    began = time.perf_counter()
    if rate is None:
        for number in range(browsers):
            await crowd.vote(number)
    else:
        async with asyncio.TaskGroup() as group:
            for number in range(browsers):
                await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
                group.create_task(crowd.vote(number))
    took_s = time.perf_counter() - began
    await asyncio.sleep(0.5)
    counted = await integrator.count_participants(poll_id)
    if counted != crowd.answers[303]:
        raise BenchError(f"{counted} ballots are counted, and {crowd.answers} were answered")
    lines = await asyncio.to_thread(_lines_after, log, seen)
    return Times(lines), Crowd(counted, crowd.lost, took_s)


def _lines_after(log: Path, position: int) -> list[bytes]:
    with log.open("rb") as file:
        file.seek(position)
        return file.read().splitlines()
