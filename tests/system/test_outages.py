"""Outages of PostgreSQL, Redis or the authority: responses arrive in time, and no token is accepted wrongly."""

import asyncio
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from shared.contract.redis_names import CHANGES_CHANNEL
from shared.contract.token import digest
from shared.guard.follower import SyncPace
from shared.runtime.postgres.database import DatabaseUnavailable
from shared.runtime.postgres.database import database as opened
from shared.runtime.redis.subscription import MAX_UNANSWERED_PINGS, PING_EVERY_S
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.processes import polls_settings, run_service
from tests.support.proxy import Mode, Proxy, run_proxy
from tests.support.pushes import read_changes
from tests.support.stack import Authority, Polls, run_polls_service, run_token_authority

pytestmark = pytest.mark.own_database

LIMIT_S = 3.0
LEASE_S = 2.0
FAULTS: list[Mode] = ["black hole", "refuse"]


class Stack(NamedTuple):
    """Both services, with a proxy in front of everything that they depend on."""

    authority: Authority
    polls: Polls
    postgres: Proxy
    redis: Proxy
    introspection: Proxy


@asynccontextmanager
async def _start_stack(database: ClonedDatabase, redis_url: str, folder: Path) -> AsyncGenerator[Stack, None]:
    async with run_proxy(database.admin_url) as postgres, run_proxy(redis_url) as redis:
        proxied_database = ClonedDatabase(
            database.admin_url, postgres.url(database.token_authority_url), postgres.url(database.polls_url)
        )
        async with (
            run_token_authority(proxied_database, redis.url(), folder, revocation_lease=LEASE_S) as authority,
            run_proxy(authority.base) as introspection,
            run_polls_service(proxied_database, redis.url(), introspection.url()) as polls,
        ):
            polls.endpoint = await authority.get_endpoint()
            polls.token = (await authority.issue())["token"]
            await _wait_until_check_is(polls, "lease", "ok")
            assert (await polls.call("GET")).status == 200
            yield Stack(authority, polls, postgres, redis, introspection)
            for proxy in (postgres, redis, introspection):
                proxy.set_mode("ok")


@pytest.fixture
async def stack(database: ClonedDatabase, redis_url: str, tmp_path: Path) -> AsyncGenerator[Stack, None]:
    async with _start_stack(database, redis_url, tmp_path) as made:
        yield made


@pytest.mark.parametrize("fault", FAULTS)
async def test_postgresql_outage_returns_503_in_time_and_services_recover(stack: Stack, fault: Mode) -> None:
    stack.postgres.set_mode(fault)

    started = time.monotonic()
    answers = await asyncio.gather(
        *(stack.polls.call("GET") for _ in range(10)), stack.authority.manage("GET", "/v1/tokens")
    )
    took_s = time.monotonic() - started

    assert {answer.status for answer in answers} == {503}
    assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
    assert took_s < LIMIT_S
    async with asyncio.timeout(LIMIT_S):
        while (await stack.polls("GET", "/readyz")).status != 503:
            await asyncio.sleep(0.05)
    assert (await stack.polls("GET", "/livez")).status == 200
    stack.postgres.set_mode("ok")
    await _wait_until(stack, 200)


async def test_readyz_says_what_cannot_be_reached_and_why(stack: Stack) -> None:
    at = f"http://127.0.0.1:{stack.introspection.port}"
    stack.introspection.set_mode("refuse")
    for check in ("lease", "token_authority"):
        await _wait_until_check_is(stack.polls, check, f"{at} does not answer: the server closed the connection")
    stack.introspection.set_mode("ok")
    await _wait_until_check_is(stack.polls, "lease", "ok")

    stack.postgres.set_mode("refuse")

    for service in (stack.polls, stack.authority):
        await _wait_until_check_is(service, "postgres", f"PostgreSQL at 127.0.0.1:{stack.postgres.port}: ")
    await _wait_until_check_is(stack.polls, "lease", f"{at} answered 503")


async def test_connection_closed_by_server_returns_503_and_is_replaced(stack: Stack, database: ClonedDatabase) -> None:
    stack.postgres.set_mode("no end")
    name = database.admin_url.partition("?")[0].rpartition("/")[2]
    query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND usename <> 'postgres'"
    await fetch(database.admin_url, query, name)

    answers = [await stack.polls.call("GET") for _ in range(10)]

    assert {answer.status for answer in answers[:-2]} <= {200, 503}
    assert {answer.status for answer in answers[-2:]} == {200}
    async with asyncio.timeout(10):
        while (await stack.authority("GET", "/readyz")).status != 200:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("fault", FAULTS)
async def test_authority_outage_leaves_known_token_valid_for_lease_then_503(stack: Stack, fault: Mode) -> None:
    stack.introspection.set_mode(fault)
    assert (await stack.polls.call("GET")).status == 200

    unknown = stack.polls.with_token((await stack.authority.issue())["token"])
    started = time.monotonic()
    answer = await unknown.call("GET")

    assert time.monotonic() - started < LIMIT_S
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    await asyncio.sleep(LEASE_S)
    assert (await stack.polls.call("GET")).status == 503
    stack.introspection.set_mode("ok")
    await _wait_until(stack, 200)


@pytest.mark.parametrize("fault", FAULTS)
async def test_revocation_without_redis_is_effective_within_sync_interval(stack: Stack, fault: Mode) -> None:
    issued = await stack.authority.issue()
    holder = stack.polls.with_token(issued["token"])
    assert (await holder.call("GET")).status == 200
    stack.redis.set_mode(fault)

    answer = await stack.authority.revoke(issued["id"])

    assert (await holder.call("GET")).status == 403
    assert (await stack.polls.call("GET")).status == 200
    assert answer["guards"] == {"confirmed": 1, "expired": 0}
    assert answer["waited_ms"] < LEASE_S * 1000 / 2
    stack.redis.set_mode("ok")
    await _wait_until_check_is(stack.polls, "changes", "ok")


async def test_new_subscription_makes_guard_sync(database: ClonedDatabase, redis_url: str, tmp_path: Path) -> None:
    async with (
        run_proxy(redis_url) as of_authority,
        run_proxy(redis_url) as of_polls,
        run_token_authority(database, of_authority.url(), tmp_path, revocation_lease=60.0) as authority,
        run_polls_service(database, of_polls.url(), authority.base) as polls,
    ):
        of_authority.set_mode("refuse")
        issued = await authority.issue()
        polls.endpoint, polls.token = await authority.get_endpoint(), issued["token"]
        await _wait_until_check_is(polls, "lease", "ok")
        assert (await polls.call("GET")).status == 200
        of_polls.set_mode("refuse")
        await _wait_until_check_is(polls, "changes", f"Redis at 127.0.0.1:{of_polls.port} has closed the connection")
        await authority.revoke(issued["id"], wait="false")
        assert (await polls.call("GET")).status == 200

        of_polls.set_mode("ok")

        async with asyncio.timeout(60.0 / SyncPace().per_lease / 2):
            while (await polls.call("GET")).status != 403:
                await asyncio.sleep(0.05)


async def test_replica_that_was_suspended_keeps_its_subscription(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    async with (
        run_token_authority(database, redis_url, tmp_path, revocation_lease=60.0) as authority,
        run_service("polls", polls_settings(database, redis_url, authority.base), output) as replica,
    ):
        async with asyncio.timeout(10):
            while "Subscribed to token changes" not in replica.log.read_text():
                await asyncio.sleep(0.05)
        replica.signal(signal.SIGSTOP)
        await asyncio.sleep(PING_EVERY_S * (MAX_UNANSWERED_PINGS + 1.5))

        replica.signal(signal.SIGCONT)

        for _ in range(3):
            answer = await authority.revoke((await authority.issue())["id"])
            assert answer["guards"] == {"confirmed": 1, "expired": 0}
        log = replica.log.read_text()
        assert "Redis is away" not in log
        assert "Redis subscription lost" not in log


async def test_changes_are_published_once_and_in_order_after_redis_outage(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with (
        run_proxy(redis_url) as proxy,
        run_token_authority(database, proxy.url(), tmp_path) as one,
        run_token_authority(database, proxy.url(), tmp_path) as two,
        Redis.from_url(redis_url) as redis,
        redis.pubsub() as pubsub,
    ):
        proxy.set_mode("refuse")
        digests = {await _revoke_new_token(authority) for authority in (one, two, one, two, two, one)}
        await pubsub.subscribe(CHANGES_CHANNEL)

        proxy.set_mode("ok")

        assert await _count_published(pubsub, digests, until=6) == [1, 2, 3, 4, 5, 6]
        last = await _revoke_new_token(one)
        assert await _count_published(pubsub, digests | {last}, until=7) == [7]


async def _revoke_new_token(authority: Authority) -> str:
    """Issue a token and revoke it. Return the digest of its secret."""
    issued = await authority.issue()
    await authority.revoke(issued["id"])
    return digest(issued["token"]).hex()


async def _count_published(pubsub: PubSub, digests: set[str], until: int) -> list[int]:
    """Return the numbers of the pushed changes of these secrets, in order of arrival, until `until` arrives."""
    seqs: list[int] = []
    async with asyncio.timeout(10):
        while until not in seqs:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=1.0)
            if message is not None:
                changes = read_changes(message["data"])
                seqs += [change["seq"] for change in changes if change["digest"] in digests]
    return seqs


async def _wait_until_check_is(service: Polls | Authority, name: str, state: str) -> None:
    async with asyncio.timeout(10):
        while not (await service("GET", "/readyz")).json["checks"][name].startswith(state):
            await asyncio.sleep(0.02)


async def test_no_process_reports_unpublished_changes_after_redis_outage(
    stack: Stack, database: ClonedDatabase, tmp_path: Path
) -> None:
    async with run_token_authority(database, stack.redis.url(), tmp_path) as other:
        stack.redis.set_mode("refuse")
        await stack.authority.revoke((await stack.authority.issue())["id"])
        for authority in (stack.authority, other):
            await _wait_until_unpublished_is(authority, 1)

        stack.redis.set_mode("ok")

        for authority in (stack.authority, other):
            await _wait_until_unpublished_is(authority, 0)


async def _wait_until_unpublished_is(authority: Authority, value: int) -> None:
    async with asyncio.timeout(10):
        while f"pollgate_changes_unpublished {value}.0".encode() not in (await authority("GET", "/metrics")).body:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("fault", FAULTS)
async def test_revocation_waits_for_disconnected_replica_until_its_lease_expires(stack: Stack, fault: Mode) -> None:
    issued = await stack.authority.issue()
    holder = stack.polls.with_token(issued["token"])
    assert (await holder.call("GET")).status == 200
    stack.introspection.set_mode(fault)
    stack.redis.set_mode(fault)

    answer = await stack.authority.revoke(issued["id"])

    assert (await holder.call("GET")).status == 503
    assert answer["guards"] == {"confirmed": 0, "expired": 1}
    stack.introspection.set_mode("ok")
    stack.redis.set_mode("ok")
    async with asyncio.timeout(10):
        while (status := (await holder.call("GET")).status) != 403:
            assert status == 503
            await asyncio.sleep(0.05)


async def test_statements_waiting_for_lock_do_not_accumulate_on_server(stack: Stack, database: ClonedDatabase) -> None:
    holder = await asyncpg.connect(database.admin_url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE polls.poll IN ACCESS EXCLUSIVE MODE")
        for _ in range(5):
            answers = await asyncio.gather(*(stack.polls.call("GET") for _ in range(10)))
            assert {answer.status for answer in answers} == {503}
        backends = await holder.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'polls'"
        )
    await holder.close()

    assert backends <= 3 * 4
    await _wait_until(stack, 200)


@pytest.mark.parametrize("code", ["58030", "XX000", "XX001", "53100", "25P03", "55006", "57P01", "40001"])
async def test_server_error_raises_database_unavailable(database: ClonedDatabase, code: str) -> None:
    async with opened(database.token_authority_url, size=1, statement_cache=0) as pool:
        with pytest.raises(DatabaseUnavailable):
            await pool.execute(f"DO $$ BEGIN RAISE EXCEPTION SQLSTATE '{code}'; END $$")


async def test_write_to_read_only_database_returns_503(stack: Stack, database: ClonedDatabase) -> None:
    name = database.admin_url.partition("?")[0].rpartition("/")[2]
    await fetch(database.admin_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await fetch(
        database.admin_url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND usename <> 'postgres'",
        name,
    )
    body = {"title": "Lunch?", "options": [{"id": "1", "title": "Yes"}]}

    statuses = {(await stack.polls.call("POST", body)).status for _ in range(6)}

    assert statuses == {503}


async def test_introspection_response_in_pieces_is_read_completely(stack: Stack) -> None:
    stack.introspection.pieces = True
    holder = stack.polls.with_token((await stack.authority.issue())["token"])

    assert (await holder.call("GET")).status == 200


async def _wait_until(stack: Stack, status: int) -> None:
    async with asyncio.timeout(10):
        while (await stack.polls.call("GET")).status != status:
            await asyncio.sleep(0.05)
