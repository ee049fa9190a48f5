"""Streams of a service that mounts the guard: the promise of exact revocation covers them too."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web

from shared.contract.scope import Action, Place
from shared.contract.token import SECRET_PATTERN, SECRET_START
from shared.guard import GuardSettings, mount_guard, open_stream, token_with
from shared.guard.stream import GUARD, STREAMS
from shared.runtime.http.application import create_application
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.routes import Route, add_routes
from shared.runtime.process.environment import RotatableText
from shared.runtime.process.redaction import redactor
from shared.runtime.process.serve import listen
from tests.support.logs import capture_log_lines
from tests.support.proxy import run_proxy
from tests.support.stack import CLIENT_SECRET, HOST, Authority

LEASE_S: Final = 0.5
FLOOD: Final = b"x" * 32 * 1024


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"revocation_lease": LEASE_S}


class Received:
    """What a client has received of a stream: its status, the server's time of each tick, and whether it has ended.

    `whole` is true if the stream ended with its final chunk.
    """

    def __init__(self) -> None:
        self.status = 0
        self.ticks: list[float] = []
        self.ended = asyncio.Event()
        self.whole = False

    async def wait_for_more(self, ticks: int = 20) -> None:
        """Wait until more ticks have arrived."""
        wanted = len(self.ticks) + ticks
        async with asyncio.timeout(10):
            while len(self.ticks) < wanted:
                assert not self.ended.is_set(), "the stream has ended"
                await asyncio.sleep(0.005)

    async def has_ended(self) -> None:
        """Wait until the stream has ended."""
        async with asyncio.timeout(10):
            await self.ended.wait()


class Ticker:
    """A service that streams the time every few milliseconds, or as much data as the client reads."""

    def __init__(self, app: web.Application, base: str) -> None:
        self.app = app
        self.base = base
        self.sent = 0

    @property
    def open(self) -> int:
        """The number of open streams."""
        return len(self.app[STREAMS].open)

    async def has_no_stream(self) -> None:
        """Wait until its last stream has ended."""
        async with asyncio.timeout(10):
            while self.open:
                await asyncio.sleep(0.005)

    @asynccontextmanager
    async def read_stream(self, token: str, *, in_url: bool = False) -> AsyncGenerator[Received, None]:
        """Read a stream of ticks at PLAT/PLAT-1 within the block; wait for its first ticks."""
        received = Received()
        reading = asyncio.create_task(self._read(received, token, in_url=in_url))
        await received.wait_for_more(3)
        try:
            yield received
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, received: Received, token: str, *, in_url: bool) -> None:
        url, headers = f"{self.base}/ticks/PLAT", {"Authorization": f"Bearer {token}"}
        if in_url:
            url, headers = f"{url}?token={token}", {}
        try:
            async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
                received.status = response.status
                async for line in response.content:
                    received.ticks.append(float(line))
                received.whole = True
        except aiohttp.ClientError:
            pass
        finally:
            received.ended.set()

    async def ticks(self, request: web.Request) -> web.StreamResponse:
        place = Place(request.match_info["workspace"], "PLAT-1")
        async with open_stream(request, {Action.READ}, place, {"Content-Type": "text/plain"}) as stream:
            while True:
                await stream.send(f"{time.monotonic()}\n".encode())
                await stream.wait(0.005)
        return stream.response

    async def send_flood(self, request: web.Request) -> web.StreamResponse:
        async with open_stream(request, {Action.READ}, Place("PLAT", "PLAT-1"), {}) as stream:
            while True:
                self.sent += len(FLOOD)
                await stream.send(FLOOD)
        return stream.response

    async def send_nothing(self, request: web.Request) -> web.StreamResponse:
        async with open_stream(request, {Action.READ}, Place("PLAT", "PLAT-1"), {}) as stream:
            await stream.wait(60)
        return stream.response

    async def fail_after_half(self, request: web.Request) -> web.StreamResponse:
        async with open_stream(request, {Action.READ}, Place("PLAT", "PLAT-1"), {}) as stream:
            await stream.send(b"the first half\n")
            raise LookupError("the second half")
        return stream.response


@asynccontextmanager
async def run_ticker(authority_url: str, redis_url: str) -> AsyncGenerator[Ticker, None]:
    app = create_application({}, redactor(SECRET_PATTERN, SECRET_START))
    ticker = Ticker(app, "")
    handlers = {
        "/ticks/{workspace}": ticker.ticks,
        "/flood": ticker.send_flood,
        "/quiet": ticker.send_nothing,
        "/broken": ticker.fail_after_half,
    }
    add_routes(
        app, [Route("GET", path, Endpoint(handler), token_with(Action.READ)) for path, handler in handlers.items()]
    )
    mount_guard(
        app,
        GuardSettings(
            token_authority_url=authority_url,
            introspection_client_id="polls",
            introspection_client_secret=CLIENT_SECRET,
            redis_url=RotatableText(redis_url),
            resource_url="http://ticks.internal",
        ),
    )
    async with listen(app, HOST, 0) as port:
        ticker.base = f"http://{HOST}:{port}"
        yield ticker


@pytest.fixture
async def ticker(authority: Authority, redis_url: str) -> AsyncGenerator[Ticker, None]:
    async with run_ticker(authority.base, redis_url) as running:
        yield running


async def test_stream_sends_nothing_after_answer_of_revocation(ticker: Ticker, authority: Authority) -> None:
    for _ in range(5):
        issued = await authority.issue("polls:read:PLAT")
        async with ticker.read_stream(issued["token"]) as received:
            answer = await authority.revoke(issued["id"])
            answered_at = time.monotonic()

            await received.has_ended()

        assert answer["guards"]["confirmed"] >= 1
        assert max(received.ticks) < answered_at
        assert received.whole


async def test_idle_stream_ends_when_its_token_is_revoked(ticker: Ticker, authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT")
    bearer = {"Authorization": f"Bearer {issued['token']}"}
    async with aiohttp.ClientSession() as session, session.get(f"{ticker.base}/quiet", headers=bearer) as response:
        await authority.revoke(issued["id"])

        async with asyncio.timeout(5):
            assert (response.status, await response.read()) == (200, b"")


@asynccontextmanager
async def open_unread(ticker: Ticker, token: str) -> AsyncGenerator[tuple[socket.socket, int], None]:
    """Open a connection that reads nothing of a flood; yield it and how many bytes were sent until it was full."""
    headers = f"Host: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
    loop, where = asyncio.get_running_loop(), (HOST, int(ticker.base.rpartition(":")[2]))
    with socket.socket() as caller:
        caller.setblocking(False)
        await loop.sock_connect(caller, where)
        await loop.sock_sendall(caller, f"GET /flood HTTP/1.1\r\n{headers}\r\n".encode())
        held = -1
        while held != ticker.sent or not held:
            held = ticker.sent
            await asyncio.sleep(0.1)
        yield caller, held


async def test_revocation_discards_data_that_slow_client_has_not_received(ticker: Ticker, authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT")
    async with open_unread(ticker, issued["token"]) as (caller, held):
        await authority.revoke(issued["id"])

        received = 0
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                while data := await asyncio.get_running_loop().sock_recv(caller, 1 << 20):
                    received += len(data)
    await ticker.has_no_stream()
    assert 0 < received < held


async def test_client_that_does_not_read_does_not_delay_shutdown(authority: Authority, redis_url: str) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]
    async with run_ticker(authority.base, redis_url) as ticker, open_unread(ticker, token):
        await ticker.app.shutdown()

        async with asyncio.timeout(2):
            await ticker.has_no_stream()


async def test_stream_ends_when_its_token_loses_the_place(ticker: Ticker, authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT", "polls:read:OTHER")
    async with ticker.read_stream(issued["token"]) as received:
        await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"scopes": ["polls:read:OTHER"]})
        answered_at = time.monotonic()

        await received.has_ended()

    assert max(received.ticks) < answered_at


async def test_stream_with_token_in_url_ends_when_token_becomes_header_only(
    ticker: Ticker, authority: Authority
) -> None:
    issued = await authority.issue("polls:read:PLAT")
    async with (
        ticker.read_stream(issued["token"], in_url=True) as in_url,
        ticker.read_stream(issued["token"]) as as_bearer,
    ):
        await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"allow_query": False})
        answered_at = time.monotonic()

        await in_url.has_ended()
        await as_bearer.wait_for_more()

    assert max(in_url.ticks) < answered_at


async def test_stream_ends_when_its_token_expires(ticker: Ticker, authority: Authority) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=2)
    issued = await authority.issue("polls:read:PLAT", expires_at=expires_at.isoformat())
    async with ticker.read_stream(issued["token"]) as received:
        await received.has_ended()

    assert datetime.now(UTC) >= expires_at.replace(microsecond=0)
    assert received.whole


async def test_stream_ends_when_authority_is_unavailable_for_longer_than_the_lease(
    authority: Authority, redis_url: str
) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]
    async with (
        run_proxy(authority.base) as between,
        run_ticker(between.url(), redis_url) as ticker,
        ticker.read_stream(token) as received,
    ):
        between.set_mode("black hole")
        cut_at = time.monotonic()

        await received.has_ended()

    assert max(received.ticks) < cut_at + LEASE_S + 0.05


async def test_stream_continues_if_authority_is_back_within_the_lease(authority: Authority, redis_url: str) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]
    async with (
        run_proxy(authority.base) as between,
        run_ticker(between.url(), redis_url) as ticker,
        ticker.read_stream(token) as received,
    ):
        between.set_mode("refuse")
        await asyncio.sleep(LEASE_S / 2)
        between.set_mode("ok")
        await asyncio.sleep(2 * LEASE_S)

        await received.wait_for_more()


async def test_stream_continues_when_another_token_is_revoked(ticker: Ticker, authority: Authority) -> None:
    mine, other = await authority.issue("polls:read:PLAT"), await authority.issue("polls:read:PLAT")
    async with ticker.read_stream(mine["token"]) as received:
        await authority.revoke(other["id"])

        await received.wait_for_more()


async def test_stream_continues_when_its_token_is_narrowed_but_keeps_the_place(
    ticker: Ticker, authority: Authority
) -> None:
    issued = await authority.issue("polls:*:*")
    async with ticker.read_stream(issued["token"]) as received:
        answer = await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"scopes": ["polls:read:PLAT/PLAT-1"]})

        assert answer.status == 200
        await received.wait_for_more()


async def test_stream_continues_over_several_leases(ticker: Ticker, authority: Authority) -> None:
    async with ticker.read_stream((await authority.issue("polls:read:PLAT"))["token"]) as received:
        await asyncio.sleep(4 * LEASE_S)

        await received.wait_for_more()


async def test_stream_continues_during_redis_outage_and_ends_with_its_token(
    authority: Authority, redis_url: str
) -> None:
    issued = await authority.issue("polls:read:PLAT")
    async with (
        run_proxy(redis_url) as between,
        run_ticker(authority.base, between.url()) as ticker,
        ticker.read_stream(issued["token"]) as received,
    ):
        between.set_mode("refuse")
        await asyncio.sleep(LEASE_S)
        await received.wait_for_more()
        between.set_mode("ok")
        await received.wait_for_more()
        between.set_mode("refuse")

        await authority.revoke(issued["id"])
        answered_at = time.monotonic()
        await received.has_ended()

    assert max(received.ticks) < answered_at


async def test_stream_with_insufficient_scope_returns_403(ticker: Ticker, authority: Authority) -> None:
    bearer = {"Authorization": f"Bearer {(await authority.issue('polls:read:OTHER'))['token']}"}
    async with aiohttp.ClientSession() as session, session.get(f"{ticker.base}/quiet", headers=bearer) as response:
        assert response.status == 403


async def test_stream_and_listener_are_removed_when_client_disconnects(ticker: Ticker, authority: Authority) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]
    for _ in range(3):
        async with ticker.read_stream(token):
            assert ticker.open == 1
            assert len(ticker.app[GUARD]._listeners) == 1

        await ticker.has_no_stream()

    assert len(ticker.app[GUARD]._listeners) == 0


async def test_shutdown_ends_streams_with_final_chunk(authority: Authority, redis_url: str) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]
    async with run_ticker(authority.base, redis_url) as ticker, ticker.read_stream(token) as received:
        await received.wait_for_more(1)
        async with asyncio.timeout(5):
            stopping = asyncio.create_task(ticker.app.shutdown())
            await received.has_ended()
            await stopping

    assert received.whole


async def test_stream_whose_handler_fails_is_cut_without_final_chunk(ticker: Ticker, authority: Authority) -> None:
    bearer = {"Authorization": f"Bearer {(await authority.issue('polls:read:PLAT'))['token']}"}
    async with aiohttp.ClientSession() as session, session.get(f"{ticker.base}/broken", headers=bearer) as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()


async def test_stream_is_logged_at_its_end_with_duration_and_reason(ticker: Ticker, authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT")
    with capture_log_lines() as logs:
        async with ticker.read_stream(issued["token"]) as received:
            await asyncio.sleep(3)  # longer than other requests may take
            await received.wait_for_more(1)
            await authority.revoke(issued["id"])
            await received.has_ended()
        await ticker.has_no_stream()
        await asyncio.sleep(0.05)

    (line,) = (line for line in logs if line.get("route") == "/ticks/{workspace}")
    assert line["duration_ms"] >= 3000
    assert (line["status"], line["token_id"]) == (200, issued["id"])
    assert line["stream_ended"] == "the token no longer allows it: TokenInvalid"
