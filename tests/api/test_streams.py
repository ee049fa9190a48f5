"""An answer that goes on, by a service that mounts the guard: the promise covers it too."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import pytest
import structlog
from aiohttp import web

from shared.contract.scope import Action, Place
from shared.contract.token import SECRET_PATTERN
from shared.guard import GuardSettings, mount_guard, open_stream, token_with
from shared.guard.stream import GUARD, STREAMS
from shared.runtime.http.application import create_application
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.routes import Route, add_routes
from shared.runtime.process.redaction import redactor
from shared.runtime.process.serve import listening
from tests.support.proxy import proxied
from tests.support.stack import CLIENT_SECRET, HOST, Authority

LEASE_S: Final = 0.5
FLOOD: Final = b"x" * 32 * 1024


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"revocation_lease": LEASE_S}


class Received:
    """What of a stream has come: the server's time of each tick, `status`, and whether it has ended."""

    def __init__(self) -> None:
        self.status = 0
        self.ticks: list[float] = []
        self.ended = asyncio.Event()
        self.whole = False

    async def goes_on(self, ticks: int = 20) -> None:
        """Wait for more."""
        wanted = len(self.ticks) + ticks
        async with asyncio.timeout(10):
            while len(self.ticks) < wanted:
                assert not self.ended.is_set(), "the stream has ended"
                await asyncio.sleep(0.005)

    async def end(self) -> None:
        """Wait for it."""
        async with asyncio.timeout(10):
            await self.ended.wait()


class Ticker:
    """A service that streams the time every few milliseconds, or all that the caller reads."""

    def __init__(self, app: web.Application, base: str) -> None:
        self.app = app
        self.base = base
        self.handed_over = 0

    @property
    def open(self) -> int:
        """How many streams it has."""
        return len(self.app[STREAMS].open)

    async def none_open(self) -> None:
        """Wait until its last stream has ended."""
        async with asyncio.timeout(10):
            while self.open:
                await asyncio.sleep(0.005)

    @asynccontextmanager
    async def streamed(self, token: str, *, in_url: bool = False) -> AsyncGenerator[Received, None]:
        """A stream of ticks at PLAT/PLAT-1, being read, which has begun."""
        received = Received()
        reading = asyncio.create_task(self._read(received, token, in_url=in_url))
        await received.goes_on(3)
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

    async def flood(self, request: web.Request) -> web.StreamResponse:
        async with open_stream(request, {Action.READ}, Place("PLAT", "PLAT-1"), {}) as stream:
            while True:
                self.handed_over += len(FLOOD)
                await stream.send(FLOOD)
        return stream.response

    async def quiet(self, request: web.Request) -> web.StreamResponse:
        async with open_stream(request, {Action.READ}, Place("PLAT", "PLAT-1"), {}) as stream:
            await stream.wait(60)
        return stream.response

    async def broken(self, request: web.Request) -> web.StreamResponse:
        async with open_stream(request, {Action.READ}, Place("PLAT", "PLAT-1"), {}) as stream:
            await stream.send(b"the first half\n")
            raise LookupError("the second half")
        return stream.response


@asynccontextmanager
async def a_ticker(authority_url: str, redis_url: str) -> AsyncGenerator[Ticker, None]:
    app = create_application({}, redactor(SECRET_PATTERN))
    ticker = Ticker(app, "")
    handlers = {
        "/ticks/{workspace}": ticker.ticks,
        "/flood": ticker.flood,
        "/quiet": ticker.quiet,
        "/broken": ticker.broken,
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
            redis_url=redis_url,
            resource_url="http://ticks.internal",
        ),
    )
    async with listening(app, HOST, 0) as port:
        ticker.base = f"http://{HOST}:{port}"
        yield ticker


@pytest.fixture
async def ticker(authority: Authority, redis_url: str) -> AsyncGenerator[Ticker, None]:
    async with a_ticker(authority.base, redis_url) as running:
        yield running


async def test_nothing_of_a_stream_is_sent_after_the_answer_of_its_tokens_revocation(
    ticker: Ticker, authority: Authority
) -> None:
    for _ in range(5):
        issued = await authority.issue("polls:read:PLAT")
        async with ticker.streamed(issued["token"]) as received:
            answer = await authority.revoke(issued["id"])
            answered_at = time.monotonic()

            await received.end()

        assert answer["guards"]["confirmed"] >= 1
        assert max(received.ticks) < answered_at
        assert received.whole


async def test_a_quiet_stream_ends_with_its_token_too(ticker: Ticker, authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT")
    bearer = {"Authorization": f"Bearer {issued['token']}"}
    async with aiohttp.ClientSession() as session, session.get(f"{ticker.base}/quiet", headers=bearer) as response:
        await authority.revoke(issued["id"])

        async with asyncio.timeout(5):
            assert (response.status, await response.read()) == (200, b"")


@asynccontextmanager
async def unread(ticker: Ticker, token: str) -> AsyncGenerator[tuple[socket.socket, int], None]:
    """A caller who reads nothing of a flood, and how much it was sent until its connection held no more."""
    headers = f"Host: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
    loop, where = asyncio.get_running_loop(), (HOST, int(ticker.base.rpartition(":")[2]))
    with socket.socket() as caller:
        caller.setblocking(False)
        await loop.sock_connect(caller, where)
        await loop.sock_sendall(caller, f"GET /flood HTTP/1.1\r\n{headers}\r\n".encode())
        held = -1
        while held != ticker.handed_over or not held:
            held = ticker.handed_over
            await asyncio.sleep(0.1)
        yield caller, held


async def test_what_a_slow_reader_has_not_been_sent_yet_is_thrown_away_by_a_revocation(
    ticker: Ticker, authority: Authority
) -> None:
    issued = await authority.issue("polls:read:PLAT")
    async with unread(ticker, issued["token"]) as (caller, held):
        await authority.revoke(issued["id"])

        received = 0
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                while data := await asyncio.get_running_loop().sock_recv(caller, 1 << 20):
                    received += len(data)
    await ticker.none_open()
    assert 0 < received < held


async def test_a_caller_who_does_not_read_does_not_hold_up_the_end_of_its_service(
    authority: Authority, redis_url: str
) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]
    async with a_ticker(authority.base, redis_url) as ticker, unread(ticker, token):
        await ticker.app.shutdown()

        async with asyncio.timeout(2):
            await ticker.none_open()


async def test_a_stream_ends_when_its_token_is_narrowed_out_of_its_place(ticker: Ticker, authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT", "polls:read:OTHER")
    async with ticker.streamed(issued["token"]) as received:
        await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"scopes": ["polls:read:OTHER"]})
        answered_at = time.monotonic()

        await received.end()

    assert max(received.ticks) < answered_at


async def test_a_stream_ends_when_its_token_may_not_stand_in_a_url_any_more(
    ticker: Ticker, authority: Authority
) -> None:
    issued = await authority.issue("polls:read:PLAT")
    async with ticker.streamed(issued["token"], in_url=True) as in_url, ticker.streamed(issued["token"]) as as_bearer:
        await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"allow_query": False})
        answered_at = time.monotonic()

        await in_url.end()
        await as_bearer.goes_on()

    assert max(in_url.ticks) < answered_at


async def test_a_stream_ends_when_its_token_expires(ticker: Ticker, authority: Authority) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=2)
    issued = await authority.issue("polls:read:PLAT", expires_at=expires_at.isoformat())
    async with ticker.streamed(issued["token"]) as received:
        await received.end()

    assert datetime.now(UTC) >= expires_at.replace(microsecond=0)
    assert received.whole


async def test_a_stream_ends_when_the_authority_is_away_for_longer_than_the_lease(
    authority: Authority, redis_url: str
) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]
    async with (
        proxied(authority.base) as between,
        a_ticker(between.url(), redis_url) as ticker,
        ticker.streamed(token) as received,
    ):
        between.become("black hole")
        cut_at = time.monotonic()

        await received.end()

    assert max(received.ticks) < cut_at + LEASE_S + 0.05


async def test_a_stream_goes_on_where_the_authority_is_back_in_time(authority: Authority, redis_url: str) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]
    async with (
        proxied(authority.base) as between,
        a_ticker(between.url(), redis_url) as ticker,
        ticker.streamed(token) as received,
    ):
        between.become("refuse")
        await asyncio.sleep(LEASE_S / 2)
        between.become("ok")
        await asyncio.sleep(2 * LEASE_S)

        await received.goes_on()


async def test_a_stream_goes_on_over_the_revocation_of_another_token(ticker: Ticker, authority: Authority) -> None:
    mine, other = await authority.issue("polls:read:PLAT"), await authority.issue("polls:read:PLAT")
    async with ticker.streamed(mine["token"]) as received:
        await authority.revoke(other["id"])

        await received.goes_on()


async def test_a_stream_goes_on_over_a_narrowing_that_leaves_it_its_place(ticker: Ticker, authority: Authority) -> None:
    issued = await authority.issue("polls:*:*")
    async with ticker.streamed(issued["token"]) as received:
        answer = await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"scopes": ["polls:read:PLAT/PLAT-1"]})

        assert answer.status == 200
        await received.goes_on()


async def test_a_stream_goes_on_over_lease_after_lease(ticker: Ticker, authority: Authority) -> None:
    async with ticker.streamed((await authority.issue("polls:read:PLAT"))["token"]) as received:
        await asyncio.sleep(4 * LEASE_S)

        await received.goes_on()


async def test_a_stream_goes_on_while_redis_restarts_and_ends_with_its_token_then_too(
    authority: Authority, redis_url: str
) -> None:
    issued = await authority.issue("polls:read:PLAT")
    async with (
        proxied(redis_url) as between,
        a_ticker(authority.base, between.url()) as ticker,
        ticker.streamed(issued["token"]) as received,
    ):
        between.become("refuse")
        await asyncio.sleep(LEASE_S)
        await received.goes_on()
        between.become("ok")
        await received.goes_on()
        between.become("refuse")

        await authority.revoke(issued["id"])
        answered_at = time.monotonic()
        await received.end()

    assert max(received.ticks) < answered_at


async def test_a_token_that_does_not_reach_gets_no_stream(ticker: Ticker, authority: Authority) -> None:
    bearer = {"Authorization": f"Bearer {(await authority.issue('polls:read:OTHER'))['token']}"}
    async with aiohttp.ClientSession() as session, session.get(f"{ticker.base}/quiet", headers=bearer) as response:
        assert response.status == 403


async def test_a_stream_leaves_nothing_behind_when_its_caller_has_gone(ticker: Ticker, authority: Authority) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]
    for _ in range(3):
        async with ticker.streamed(token):
            assert ticker.open == 1
            assert len(ticker.app[GUARD]._listeners) == 1

        await ticker.none_open()

    assert len(ticker.app[GUARD]._listeners) == 0


async def test_a_stream_ends_before_its_service_does(authority: Authority, redis_url: str) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]
    async with a_ticker(authority.base, redis_url) as ticker, ticker.streamed(token) as received:
        await received.goes_on(1)
        async with asyncio.timeout(5):
            stopping = asyncio.create_task(ticker.app.shutdown())
            await received.end()
            await stopping

    assert received.whole


async def test_a_stream_that_fails_is_cut_so_that_its_half_is_not_taken_for_the_whole(
    ticker: Ticker, authority: Authority
) -> None:
    bearer = {"Authorization": f"Bearer {(await authority.issue('polls:read:PLAT'))['token']}"}
    async with aiohttp.ClientSession() as session, session.get(f"{ticker.base}/broken", headers=bearer) as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()


async def test_a_streams_line_in_the_log_comes_at_its_end_and_says_how_long_it_was_and_why_it_ended(
    ticker: Ticker, authority: Authority
) -> None:
    issued = await authority.issue("polls:read:PLAT")
    with structlog.testing.capture_logs() as logs:
        async with ticker.streamed(issued["token"]) as received:
            await asyncio.sleep(3)  # longer than other requests may take
            await received.goes_on(1)
            await authority.revoke(issued["id"])
            await received.end()
        await ticker.none_open()
        await asyncio.sleep(0.05)

    (line,) = (line for line in logs if line.get("route") == "/ticks/{workspace}")
    assert line["duration_ms"] >= 3000
    assert (line["status"], line["token_id"]) == (200, issued["id"])
    assert line["stream_ended"] == "the token no longer allows it: TokenInvalid"
