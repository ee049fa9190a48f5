"""PostgreSQL, Redis or the authority black-holed or down: an answer in time, and never a guess."""

import asyncio
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg
import jwt
import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from shared.contract.change import CHANGES_EVENT
from shared.contract.redis_names import CHANGES_CHANNEL
from shared.guard.follower import SyncPace
from shared.runtime.postgres.database import DatabaseUnavailable
from shared.runtime.postgres.database import database as opened
from shared.runtime.redis.subscription import MAX_UNANSWERED_PINGS, PING_EVERY_S
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.processes import polls_settings, service
from tests.support.proxy import Mode, Proxy, proxied
from tests.support.stack import Authority, Polls, polls_service, token_authority

pytestmark = pytest.mark.own_database

LIMIT_S = 3.0
LEASE_S = 2.0
FAULTS: list[Mode] = ["black hole", "refuse"]


class Scene(NamedTuple):
    """Both services, with a proxy before everything that they need."""

    authority: Authority
    polls: Polls
    postgres: Proxy
    redis: Proxy
    introspection: Proxy


@asynccontextmanager
async def _scene(database: ClonedDatabase, redis_url: str, folder: Path) -> AsyncGenerator[Scene, None]:
    async with proxied(database.admin_url) as postgres, proxied(redis_url) as redis:
        behind = ClonedDatabase(
            database.admin_url, postgres.url(database.token_authority_url), postgres.url(database.polls_url)
        )
        async with (
            token_authority(behind, redis.url(), folder, revocation_lease=LEASE_S) as authority,
            proxied(authority.base) as introspection,
            polls_service(behind, redis.url(), introspection.url()) as polls,
        ):
            polls.endpoint = await authority.endpoint()
            polls.token = (await authority.issue())["token"]
            await _until_check_is(polls, "lease", "ok")
            assert (await polls.call("GET")).status == 200
            yield Scene(authority, polls, postgres, redis, introspection)
            for proxy in (postgres, redis, introspection):
                proxy.become("ok")


@pytest.fixture
async def scene(database: ClonedDatabase, redis_url: str, tmp_path: Path) -> AsyncGenerator[Scene, None]:
    async with _scene(database, redis_url, tmp_path) as made:
        yield made


@pytest.mark.parametrize("fault", FAULTS)
async def test_without_postgresql_both_services_answer_503_in_time_and_recover(scene: Scene, fault: Mode) -> None:
    scene.postgres.become(fault)

    started = time.monotonic()
    answers = await asyncio.gather(
        *(scene.polls.call("GET") for _ in range(10)), scene.authority.manage("GET", "/v1/tokens")
    )
    took_s = time.monotonic() - started

    assert {answer.status for answer in answers} == {503}
    assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
    assert took_s < LIMIT_S
    async with asyncio.timeout(LIMIT_S):
        while (await scene.polls("GET", "/readyz")).status != 503:
            await asyncio.sleep(0.05)
    assert (await scene.polls("GET", "/livez")).status == 200
    scene.postgres.become("ok")
    await _until(scene, 200)


async def test_a_connection_that_the_server_has_given_up_is_503_and_replaced(
    scene: Scene, database: ClonedDatabase
) -> None:
    scene.postgres.become("no end")
    name = database.admin_url.partition("?")[0].rpartition("/")[2]
    query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND usename <> 'postgres'"
    await fetch(database.admin_url, query, name)

    answers = [await scene.polls.call("GET") for _ in range(10)]

    assert {answer.status for answer in answers[:-2]} <= {200, 503}
    assert {answer.status for answer in answers[-2:]} == {200}
    async with asyncio.timeout(10):
        while (await scene.authority("GET", "/readyz")).status != 200:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("fault", FAULTS)
async def test_without_the_authority_a_known_token_works_for_the_lease_and_then_503(scene: Scene, fault: Mode) -> None:
    scene.introspection.become(fault)
    assert (await scene.polls.call("GET")).status == 200

    unknown = scene.polls.holding((await scene.authority.issue())["token"])
    started = time.monotonic()
    answer = await unknown.call("GET")

    assert time.monotonic() - started < LIMIT_S
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    await asyncio.sleep(LEASE_S)
    assert (await scene.polls.call("GET")).status == 503
    scene.introspection.become("ok")
    await _until(scene, 200)


@pytest.mark.parametrize("fault", FAULTS)
async def test_without_redis_a_revocation_is_in_force_within_a_sync_interval(scene: Scene, fault: Mode) -> None:
    issued = await scene.authority.issue()
    mine = scene.polls.holding(issued["token"])
    assert (await mine.call("GET")).status == 200
    scene.redis.become(fault)

    answer = await scene.authority.revoke(issued["id"])

    assert (await mine.call("GET")).status == 403
    assert (await scene.polls.call("GET")).status == 200
    assert answer["guards"] == {"confirmed": 1, "expired": 0}
    assert answer["waited_ms"] < LEASE_S * 1000 / 2
    scene.redis.become("ok")
    await _until_check_is(scene.polls, "changes", "ok")


async def test_a_new_subscription_makes_a_guard_ask_for_what_it_may_have_missed(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with (
        proxied(redis_url) as of_authority,
        proxied(redis_url) as of_polls,
        token_authority(database, of_authority.url(), tmp_path, revocation_lease=60.0) as authority,
        polls_service(database, of_polls.url(), authority.base) as polls,
    ):
        of_authority.become("refuse")
        issued = await authority.issue()
        polls.endpoint, polls.token = await authority.endpoint(), issued["token"]
        await _until_check_is(polls, "lease", "ok")
        assert (await polls.call("GET")).status == 200
        of_polls.become("refuse")
        await _until_check_is(polls, "changes", "ConnectionError")
        await authority.revoke(issued["id"], wait="false")
        assert (await polls.call("GET")).status == 200

        of_polls.become("ok")

        async with asyncio.timeout(60.0 / SyncPace().per_lease / 2):
            while (await polls.call("GET")).status != 403:
                await asyncio.sleep(0.05)


async def test_a_replica_that_was_stopped_does_not_take_redis_for_gone(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    async with (
        token_authority(database, redis_url, tmp_path, revocation_lease=60.0) as authority,
        service("polls", polls_settings(database, redis_url, authority.base), output) as replica,
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
        assert "Redis is away" not in replica.log.read_text()


async def test_after_an_outage_of_redis_one_process_publishes_each_change_once_and_in_order(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with (
        proxied(redis_url) as proxy,
        token_authority(database, proxy.url(), tmp_path) as one,
        token_authority(database, proxy.url(), tmp_path) as two,
        Redis.from_url(redis_url) as redis,
        redis.pubsub() as pubsub,
    ):
        proxy.become("refuse")
        for authority in (one, two, one, two, two, one):
            await authority.revoke((await authority.issue(name="of the outage"))["id"])
        await pubsub.subscribe(CHANGES_CHANNEL)
        mine = {token["id"] for token in (await one.manage("GET", "/v1/tokens")).json["items"]}

        proxy.become("ok")

        assert await _published(pubsub, mine, until=6) == [1, 2, 3, 4, 5, 6]
        last = await one.issue()
        await one.revoke(last["id"])
        assert await _published(pubsub, mine | {last["id"]}, until=7) == [7]


async def _published(pubsub: PubSub, tokens: set[str], until: int) -> list[int]:
    """The numbers of the changes of these tokens in the order of their pushes, until this one comes."""
    seqs: list[int] = []
    async with asyncio.timeout(10):
        while until not in seqs:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=1.0)
            if message is not None:
                claims = jwt.decode(message["data"], options={"verify_signature": False})
                changes = claims["events"][CHANGES_EVENT]["changes"]
                seqs += [change["seq"] for change in changes if change["token_id"] in tokens]
    return seqs


async def _until_check_is(polls: Polls, name: str, state: str) -> None:
    async with asyncio.timeout(10):
        while (await polls("GET", "/readyz")).json["checks"][name] != state:
            await asyncio.sleep(0.02)


async def test_when_redis_is_back_no_process_says_that_changes_wait_for_it(
    scene: Scene, database: ClonedDatabase, tmp_path: Path
) -> None:
    async with token_authority(database, scene.redis.url(), tmp_path) as other:
        scene.redis.become("refuse")
        await scene.authority.revoke((await scene.authority.issue())["id"])
        for authority in (scene.authority, other):
            await _until_unpublished_is(authority, 1)

        scene.redis.become("ok")

        for authority in (scene.authority, other):
            await _until_unpublished_is(authority, 0)


async def _until_unpublished_is(authority: Authority, value: int) -> None:
    async with asyncio.timeout(10):
        while f"pollgate_changes_unpublished {value}.0".encode() not in (await authority("GET", "/metrics")).body:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_replica_that_is_cut_off_is_waited_for_until_its_lease_is_out(scene: Scene, fault: Mode) -> None:
    issued = await scene.authority.issue()
    mine = scene.polls.holding(issued["token"])
    assert (await mine.call("GET")).status == 200
    scene.introspection.become(fault)
    scene.redis.become(fault)

    answer = await scene.authority.revoke(issued["id"])

    assert (await mine.call("GET")).status == 503
    assert answer["guards"] == {"confirmed": 0, "expired": 1}
    scene.introspection.become("ok")
    scene.redis.become("ok")
    async with asyncio.timeout(10):
        while (status := (await mine.call("GET")).status) != 403:
            assert status == 503
            await asyncio.sleep(0.05)


async def test_statements_behind_a_lock_do_not_pile_up_on_the_server(scene: Scene, database: ClonedDatabase) -> None:
    holder = await asyncpg.connect(database.admin_url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE polls.poll IN ACCESS EXCLUSIVE MODE")
        for _ in range(5):
            answers = await asyncio.gather(*(scene.polls.call("GET") for _ in range(10)))
            assert {answer.status for answer in answers} == {503}
        backends = await holder.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'polls'"
        )
    await holder.close()

    assert backends <= 3 * 4
    await _until(scene, 200)


@pytest.mark.parametrize("code", ["58030", "XX000", "XX001", "53100", "25P03", "55006", "57P01", "40001"])
async def test_what_a_server_in_trouble_answers_is_that_it_is_away(database: ClonedDatabase, code: str) -> None:
    async with opened(database.token_authority_url, size=1, statement_cache=0) as pool:
        with pytest.raises(DatabaseUnavailable):
            await pool.execute(f"DO $$ BEGIN RAISE EXCEPTION SQLSTATE '{code}'; END $$")


async def test_a_read_only_database_is_503(scene: Scene, database: ClonedDatabase) -> None:
    name = database.admin_url.partition("?")[0].rpartition("/")[2]
    await fetch(database.admin_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await fetch(
        database.admin_url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND usename <> 'postgres'",
        name,
    )
    body = {"title": "Lunch?", "options": [{"id": "1", "title": "Yes"}]}

    statuses = {(await scene.polls.call("POST", body)).status for _ in range(6)}

    assert statuses == {503}


async def test_an_introspection_answer_in_pieces_is_read_whole(scene: Scene) -> None:
    scene.introspection.pieces = True
    fresh = scene.polls.holding((await scene.authority.issue())["token"])

    assert (await fresh.call("GET")).status == 200


async def _until(scene: Scene, status: int) -> None:
    async with asyncio.timeout(10):
        while (await scene.polls.call("GET")).status != status:
            await asyncio.sleep(0.05)
