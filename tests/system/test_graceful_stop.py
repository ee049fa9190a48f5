"""What clients of a service see while it stops: a grace period, then the end of every connection."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import psutil
import pytest

from tests.support.databases import ClonedDatabase
from tests.support.processes import Service, authority_settings, polls_settings, run_service
from tests.support.sse_client import Follower, follow
from tests.support.stack import Authority, Polls
from tests.support.voter import Voter, create_link

pytestmark = pytest.mark.own_database

LONG_S: Final = 60.0
"""A grace period that no test waits for."""
SHORT_S: Final = 1.5


class Connection:
    """A connection on which requests are sent as text."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, service: Service) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", int(service.base.rpartition(":")[2])))

    async def send(self, text: str) -> None:
        self._writer.write(text.encode())
        await self._writer.drain()

    async def get(self, path: str) -> "tuple[int, dict[str, str], str]":
        await self.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
        return await self.receive()

    async def receive(self) -> "tuple[int, dict[str, str], str]":
        """Return the status, the headers and the body of the next response."""
        async with asyncio.timeout(15):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers, body.decode()

    async def is_closed_within(self, limit_s: float) -> bool:
        """Return whether the service closes the connection without sending anything."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._reader.read(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    async def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def connect(service: Service) -> AsyncGenerator[Connection, None]:
    """Open a connection for the duration of the block."""
    connection = await Connection.open(service)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def run_authority(
    database: ClonedDatabase, redis_url: str, folder: Path, output: Path, grace_s: float, **settings: str
) -> AsyncGenerator[Service, None]:
    """Run a token authority with this grace period during the block. It is killed at the end."""
    chosen = {**authority_settings(database, redis_url, folder), "SHUTDOWN_GRACE_S": str(grace_s), **settings}
    async with run_service("token_authority", chosen, output) as service:
        try:
            yield service
        finally:
            if service.process.poll() is None:
                service.signal(signal.SIGKILL)


async def wait_until_stopping(service: Service) -> dict[str, Any]:
    """Return the document of `/readyz` when the service has begun to stop."""
    async with asyncio.timeout(10):
        while True:
            async with connect(service) as connection:
                status, _, body = await connection.get("/readyz")
            if status == 503:
                return dict(json.loads(body))
            await asyncio.sleep(0.02)


async def wait_for_lines(service: Service, text: str, count: int) -> None:
    """Wait until the log has so many lines with a text."""
    async with asyncio.timeout(20):
        while service.log.read_text().count(text) < count:
            await asyncio.sleep(0.02)


async def status_of(service: Service, limit_s: float) -> int:
    """Return the status with which the process ends within the limit."""
    return await asyncio.to_thread(service.process.wait, limit_s)


async def test_readiness_fails_with_status_stopping_while_new_and_kept_connections_are_served(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    async with (
        run_authority(database, redis_url, tmp_path, output, LONG_S) as service,
        connect(service) as kept,
    ):
        assert "connection" not in (await kept.get("/livez"))[1]

        service.signal(signal.SIGTERM)
        document = await wait_until_stopping(service)

        assert document == {"status": "stopping", "checks": {}}
        async with connect(service) as new:
            for connection in (kept, new):
                status, headers, body = await connection.get("/livez")
                assert (status, headers["connection"], body) == (200, "close", "ok\n")
                assert await connection.is_closed_within(5)
        async with connect(service) as other:
            status, headers, _ = await other.get("/v1/tokens")
            assert (status, headers["connection"]) == (401, "close")
        assert service.process.poll() is None


async def test_process_ends_after_grace_period_and_closes_idle_connections_then(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    async with (
        run_authority(database, redis_url, tmp_path, output, SHORT_S) as service,
        connect(service) as idle,
    ):
        await idle.get("/livez")
        started = time.monotonic()

        service.signal(signal.SIGTERM)

        assert await idle.is_closed_within(15)
        assert time.monotonic() - started >= SHORT_S
        assert await status_of(service, 15) == 0
        log = service.log.read_text()
        assert log.index("still serving") < log.index('"draining"') < log.index('"stopped"')


async def test_request_that_arrives_slowly_over_the_end_of_the_grace_period_is_served(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    async with (
        run_authority(database, redis_url, tmp_path, output, SHORT_S) as service,
        connect(service) as slow_head,
        connect(service) as slow_body,
    ):
        body = "token=made-up"
        await slow_body.send(
            "POST /oauth2/introspect HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        service.signal(signal.SIGTERM)
        head = "GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"
        for character in head:  # it is on its way for longer than the grace period
            await slow_head.send(character)
            await asyncio.sleep(2 * SHORT_S / len(head))
        await slow_body.send(body)

        assert (await slow_head.receive())[::2] == (200, "ok\n")
        assert (await slow_body.receive())[0] == 401
        assert await status_of(service, 15) == 0


async def test_rest_of_a_body_that_arrives_after_sigterm_is_read(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    async with run_authority(database, redis_url, tmp_path, output, 0) as service, connect(service) as uploading:
        key = (tmp_path / "admin.key").read_text().strip()
        body = '{"name": "sent in two parts", "scopes": ["polls:read:*"]}'
        await uploading.send(
            f"POST /v1/tokens HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body[:20]}"
        )
        async with connect(service) as probe:
            await probe.get("/livez")  # the service has received the first part too

        service.signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        await uploading.send(body[20:])

        assert (await uploading.receive())[0] == 201
        assert await status_of(service, 15) == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_second_signal_ends_the_process_at_once(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path, second: signal.Signals
) -> None:
    async with run_authority(database, redis_url, tmp_path, output, LONG_S) as service:
        service.signal(signal.SIGTERM)
        await wait_until_stopping(service)

        service.signal(second)

        assert await status_of(service, 15) == 0


async def test_second_signal_does_not_wait_for_a_running_request(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    async with (
        run_authority(database, redis_url, tmp_path, output, 0) as service,
        connect(service) as uploading,
        connect(service) as probe,
    ):
        await uploading.send("POST /oauth2/introspect HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n")
        await probe.get("/livez")
        service.signal(signal.SIGTERM)
        assert await probe.is_closed_within(5)
        assert service.process.poll() is None
        started = time.monotonic()

        service.signal(signal.SIGTERM)

        assert await status_of(service, 15) == 0
        assert time.monotonic() - started < 9  # the body may take ten


async def test_sigint_has_no_grace_period(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    async with run_authority(database, redis_url, tmp_path, output, LONG_S) as service:
        service.signal(signal.SIGINT)

        assert await status_of(service, 15) == 0


async def test_all_workers_serve_in_the_grace_period_and_end_at_the_second_signal(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    async with run_authority(database, redis_url, tmp_path, output, LONG_S, TOKEN_AUTHORITY_WORKERS="2") as service:
        await wait_for_lines(service, '"serving"', 2)
        service.signal(signal.SIGTERM)
        await wait_until_stopping(service)
        await wait_for_lines(service, "still serving", 2)
        for _ in range(20):
            async with connect(service) as connection:
                assert (await connection.get("/livez"))[1]["connection"] == "close"
            async with connect(service) as connection:
                assert (await connection.get("/readyz"))[0] == 503

        service.signal(signal.SIGTERM)

        assert await status_of(service, 15) == 0


async def test_signal_to_the_whole_group_of_processes_keeps_the_grace_period(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    """A supervisor may signal the workers too, which then get the same signal again from their parent."""
    async with run_authority(database, redis_url, tmp_path, output, SHORT_S, TOKEN_AUTHORITY_WORKERS="2") as service:
        await wait_for_lines(service, '"serving"', 2)
        workers = psutil.Process(service.process.pid).children()
        started = time.monotonic()
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        service.signal(signal.SIGTERM)

        assert await status_of(service, 15) == 0
        assert time.monotonic() - started >= SHORT_S
        assert len(workers) == 2


async def test_replica_confirms_revocations_in_the_grace_period_and_releases_its_lease_at_the_end(
    database: ClonedDatabase, redis_url: str, authority: Authority, output: Path
) -> None:
    settings = {**polls_settings(database, redis_url, authority.base), "SHUTDOWN_GRACE_S": str(LONG_S)}
    async with run_service("polls", settings, output) as service, aiohttp.ClientSession() as session:
        polls = Polls(session, service.base)
        issued = await authority.issue()
        polls.token = issued["token"]
        await wait_until_leased(polls)
        poll = await polls.create_poll()
        async with follow(polls, poll["id"]) as stream:
            await stream.next()
            service.signal(signal.SIGTERM)
            await wait_until_stopping(service)

            other = await authority.issue()
            assert (await polls.with_token(other["token"]).v1("GET", "/polls")).status == 200
            revoked = await authority.revoke(other["id"])
            assert revoked["guards"] == {"confirmed": 1, "expired": 0}
            assert (await polls.with_token(other["token"]).v1("GET", "/polls")).status in (401, 403)
            assert service.process.poll() is None
            assert (await polls.vote(poll["id"], "ada", "y")).status == 201
            async with asyncio.timeout(10):
                event = await stream.until(lambda event: event.name == "results" and event.data["votes"] == 1)
            service.signal(signal.SIGTERM)
            with pytest.raises(EOFError):  # not a broken connection
                await stream.until(lambda _: False)
        assert event.id
        assert await status_of(service, 15) == 0
        revoked = await authority.revoke(issued["id"])  # waits for no guard
        assert (revoked["effective"], revoked["guards"]) == (True, {"confirmed": 0, "expired": 0})


async def test_live_results_of_a_voting_page_end_without_the_event_that_the_link_has_ended(
    database: ClonedDatabase, redis_url: str, authority: Authority, output: Path
) -> None:
    async with (
        run_service("polls", polls_settings(database, redis_url, authority.base), output) as service,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        polls = Polls(session, service.base)
        polls.token = (await authority.issue())["token"]
        link = await create_link(polls, (await polls.create_poll())["id"])
        voter = Voter(polls)
        await voter.vote(await voter.open(link), "Yes")
        cookies = "; ".join(f"{name}={text}" for (_, name), text in voter.jar.items())
        async with session.get(f"{service.base}/p/{link['id']}/events", headers={"Cookie": cookies}) as response:
            stream = Follower(response)
            assert (await stream.next()).name == "results"

            service.signal(signal.SIGTERM)

            with pytest.raises(EOFError):  # the page connects again by itself
                await stream.next()
        assert await status_of(service, 15) == 0


async def wait_until_leased(polls: Polls) -> None:
    """Wait until the service has a lease."""
    async with asyncio.timeout(10):
        while (await polls("GET", "/readyz")).json["checks"]["lease"] != "ok":
            await asyncio.sleep(0.05)
