"""Redis in each way that its URL can name: a server, Sentinels, a cluster; Valkey and Redis."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from pollgate.stack.secrets import StackSecrets, load_or_create, redis_users
from services.polls.operations.address_limits import VOTERS_PREFIX
from services.polls.tasks.poll_feed import PollFeed
from shared.contract.redis_names import CHANGES_CHANNEL, rate_limit_prefix, ticket_prefix
from shared.guard.tickets import StreamTickets
from shared.runtime.process.outage import Outage
from shared.runtime.process.supervise import supervise
from shared.runtime.redis.client import RedisClient, redis_client
from shared.runtime.redis.limited_sets import LimitedSets
from shared.runtime.redis.rate_limit import rate_limiter
from shared.runtime.redis.subscription import Subscription
from tests.support.redis_setups import (
    ADMIN_LOGIN,
    HOST,
    SENTINEL_USER,
    add_cluster_right,
    find_programs,
    run_node,
    run_redis_cluster,
    run_sentinels,
    sentinel_query,
)

PROGRAMS = find_programs()
SLOW = pytest.mark.slow
KINDS = [
    pytest.param(
        (kind, program), id=f"{kind}-{program}", marks=SLOW if (kind, program) == ("sentinel", "redis") else ()
    )
    for kind in ("server", "sentinel", "cluster")
    for program in PROGRAMS
]


class Setup(NamedTuple):
    """A running Redis with the users of the stack."""

    url: Callable[[str], str]
    users: StackSecrets

    @property
    def authority_url(self) -> str:
        return self.url(f"token-authority:{self.users.token_authority_redis_password}")

    @property
    def polls_url(self) -> str:
        return self.url(f"polls:{self.users.polls_redis_password}")


@pytest.fixture(scope="module", params=KINDS)
async def setup(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Setup, None]:
    """Run one kind of Redis."""
    kind, program = request.param
    folder = tmp_path_factory.mktemp("redis")
    made = load_or_create(folder / "secrets.json")
    users = redis_users(made)
    async with AsyncExitStack() as stack:
        if kind == "server":
            node = await stack.enter_async_context(run_node(folder, PROGRAMS[program], users))
            yield Setup(node.url, made)
        elif kind == "sentinel":
            running = run_sentinels(folder, PROGRAMS[program], users, sentinel_users=SENTINEL_USER)
            sentinels = await stack.enter_async_context(running)
            yield Setup(lambda login: sentinels.url(login, sentinel_query()), made)
        else:
            running_cluster = run_redis_cluster(folder, PROGRAMS[program], add_cluster_right(users))
            cluster = await stack.enter_async_context(running_cluster)
            yield Setup(cluster.url, made)


async def test_pushes_of_the_authority_reach_subscribers(setup: Setup) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()
    async with (
        redis_client(setup.authority_url) as authority,
        redis_client(setup.polls_url) as one,
        redis_client(setup.polls_url) as two,
        _subscribed(one, received.put),
        _subscribed(two, received.put),
    ):
        await authority.ping()
        await authority.publish(CHANGES_CHANNEL, ["1", "2"])

        async with asyncio.timeout(10):
            assert sorted([await received.get() for _ in range(4)]) == [b"1", b"1", b"2", b"2"]


async def test_announcements_of_one_replica_reach_another(setup: Setup) -> None:
    polls, called = [uuid4() for _ in range(20)], asyncio.Queue[int]()
    app = web.Application()
    async with redis_client(setup.polls_url) as one, redis_client(setup.polls_url) as two, AsyncExitStack() as stack:
        here, there = (PollFeed(redis, max_silence_s=3600) for redis in (one, two))
        for name, run in {"here": here.publish, "there": there.run}.items():
            await stack.enter_async_context(supervise(app, name, run))
        async with asyncio.timeout(10):
            while not there.is_live:
                await asyncio.sleep(0.01)
            for number, poll in enumerate(polls):
                stack.enter_context(there.watch(poll, lambda number=number: called.put_nowait(number)))  # type: ignore[misc]
                here.announce(poll)

            assert {await called.get() for _ in polls} == set(range(len(polls)))


async def test_limits_are_counted_in_redis_for_all_processes(setup: Setup) -> None:
    for url, service in ((setup.authority_url, "authority"), (setup.polls_url, "polls")):
        registries = [CollectorRegistry(), CollectorRegistry()]
        async with redis_client(url) as one, redis_client(url) as two:
            prefix = rate_limit_prefix(service)
            limiters = [rate_limiter(redis, prefix, each) for redis, each in zip((one, two), registries, strict=True)]
            for key in ("tok_1", "unknown:203.0.113.7", "\N{SNOWMAN}", "tok_2", "tok_3"):  # on several nodes
                verdicts = [await limiters[number % 2].hit(key, 3) for number in range(5)]
                assert [verdict.is_allowed for verdict in verdicts] == [True, True, True, False, False]
                assert not (await limiters[0].peek(key, 3)).is_allowed
        assert {each.get_sample_value("pollgate_rate_limit_in_memory") for each in registries} == {0}


async def test_ticket_that_one_process_issues_works_once_at_another(setup: Setup) -> None:
    async with redis_client(setup.polls_url) as one, redis_client(setup.polls_url) as two:
        here, there = (StreamTickets(redis, ticket_prefix("polls")) for redis in (one, two))
        tickets = [await here.issue("pgt_x", "/events") for _ in range(10)]

        assert [await there.redeem(ticket, "/events") for ticket in tickets] == ["pgt_x"] * 10


async def test_voters_are_limited_by_address(setup: Setup) -> None:
    outage = Outage("lost", "restored", address="x")
    async with redis_client(setup.polls_url) as redis:
        sets = LimitedSets(redis, VOTERS_PREFIX, outage, life_s=60)
        for key in ("a", "b", "c", "d"):
            assert [await sets.add(key, member, 2) for member in (b"1", b"2", b"3", b"1")] == [True, True, False, True]
            await sets.remove(key, b"1")
            assert await sets.add(key, b"3", 2)
    assert not outage.is_ongoing


@pytest.mark.slow
async def test_subscription_and_publisher_leave_a_master_that_is_one_no_longer_and_still_answers(
    tmp_path: Path,
) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()
    program = PROGRAMS["valkey"]
    async with (
        run_node(tmp_path / "other", program) as other,
        run_sentinels(tmp_path / "redis", program, sentinel_users=SENTINEL_USER) as sentinels,
        redis_client(sentinels.url(ADMIN_LOGIN, sentinel_query())) as publisher,
        redis_client(sentinels.url(ADMIN_LOGIN, sentinel_query())) as subscriber,
        _subscribed(subscriber, received.put),
    ):
        await publisher.publish(CHANGES_CHANNEL, ["before"])
        assert await asyncio.wait_for(received.get(), 10) == b"before"

        await sentinels.name_another_master(other)

        async with asyncio.timeout(30):
            while (await other.call("PUBSUB", "NUMSUB", CHANGES_CHANNEL))[1] != 1:
                await asyncio.sleep(0.05)
            while True:  # until the publisher has noticed it, too
                await publisher.publish(CHANGES_CHANNEL, ["after"])
                if not received.empty():
                    break
                await asyncio.sleep(0.1)
        assert received.get_nowait() == b"after"


@asynccontextmanager
async def _subscribed(redis: RedisClient, on_message: Callable[[bytes], Awaitable[None]]) -> AsyncGenerator[None, None]:
    """Receive the pushes during the block."""
    confirmed = asyncio.Event()

    async def on_subscribed() -> None:
        confirmed.set()

    outage = Outage("lost", "restored", address=HOST)
    subscription = Subscription(redis, CHANGES_CHANNEL, outage, on_subscribed=on_subscribed, on_message=on_message)
    async with supervise(web.Application(), "subscription", subscription.run):
        await asyncio.wait_for(confirmed.wait(), 10)
        yield
