"""The promise while Redis fails over under load: by Sentinels, and in a cluster.

`make faults ARGS='-k failover -s'` prints how long pushes were missing.
"""

import asyncio
import random
import re
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

import aiohttp
import pytest

from pollgate.stack.secrets import load_or_create, redis_users
from shared.contract.redis_names import CHANGES_CHANNEL
from tests.faults.cluster_processes import ServiceProcess
from tests.faults.load import Load
from tests.support.databases import ClonedDatabase
from tests.support.history import find_late_answers, find_violations_of_promise, longest_call_s
from tests.support.ports import take_port
from tests.support.processes import authority_settings, polls_settings
from tests.support.redis_setups import (
    SENTINEL_USER,
    ClusterSetup,
    RedisNode,
    add_cluster_right,
    find_programs,
    run_redis_cluster,
    run_sentinels,
    sentinel_query,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

REPLICAS: Final = 2
LIMIT_S: Final = 3.0
BEFORE_S: Final = 3.0
"""Load before the fault, and after pushes work again."""
PUSHES_LIMIT_S: Final = 60.0
RATE_LIMIT: Final = 100_000
"""Of a token whose requests must never be refused."""

Fault = Literal["killed", "stopped"]
PROGRAMS: Final = find_programs()


class Services(NamedTuple):
    """A token authority and replicas of polls, each in its own process."""

    authorities: list[ServiceProcess]
    replicas: list[ServiceProcess]
    admin_key: str


@asynccontextmanager
async def run_services(
    database: ClonedDatabase, url_of: Callable[[str, str], str], folder: Path, output: Path
) -> AsyncGenerator[Services, None]:
    """Run the services. `url_of` returns the URL of Redis for a user and its password."""
    users = load_or_create(folder / "secrets.json")
    async with AsyncExitStack() as stack:

        async def start(name: str, service: str, settings: dict[str, str]) -> ServiceProcess:
            process = ServiceProcess(name, service, take_port(), settings, output)
            stack.push_async_callback(asyncio.to_thread, process.end)
            process.start()
            await process.ready()
            return process

        redis_url = url_of("token-authority", users.token_authority_redis_password)
        authority = await start("authority", "token_authority", authority_settings(database, redis_url, folder))
        redis_url = url_of("polls", users.polls_redis_password)
        settings = polls_settings(database, redis_url, authority.base)
        replicas = [await start(f"polls-{number}", "polls", settings) for number in range(REPLICAS)]
        yield Services([authority], replicas, (folder / "admin.key").read_text().strip())


@pytest.mark.parametrize("fault", ["killed", "stopped"])
@pytest.mark.parametrize("program", PROGRAMS)
async def test_promise_holds_when_sentinels_replace_the_master(
    database: ClonedDatabase, tmp_path: Path, output: Path, program: str, fault: Fault
) -> None:
    running = run_sentinels(tmp_path / "redis", PROGRAMS[program], _users(tmp_path), sentinel_users=SENTINEL_USER)
    async with running as setup:

        def url_of(user: str, password: str) -> str:
            return setup.url(f"{user}:{password}", sentinel_query())

        async def wait_for_failover(former: RedisNode) -> None:
            await setup.wait_for_another_master(former)

        async with run_services(database, url_of, tmp_path, output) as services:
            await _break_under_load(
                services, await setup.find_master(), fault, wait_for_failover, f"Sentinel, {program}"
            )


@pytest.mark.parametrize("fault", ["killed", "stopped"])
@pytest.mark.parametrize("program", PROGRAMS)
async def test_promise_holds_when_a_cluster_replaces_a_master(
    database: ClonedDatabase, tmp_path: Path, output: Path, program: str, fault: Fault
) -> None:
    users = add_cluster_right(_users(tmp_path))
    async with run_redis_cluster(tmp_path / "redis", PROGRAMS[program], users, replicas=True) as setup:

        def url_of(user: str, password: str) -> str:
            return setup.url(f"{user}:{password}")

        async def wait_for_failover(former: RedisNode) -> None:
            others = [node for node in setup.nodes if node is not former]
            await setup.wait_until_replaced(former, others)

        async with run_services(database, url_of, tmp_path, output) as services:
            broken = await _find_most_subscribed(setup)
            await _break_under_load(services, broken, fault, wait_for_failover, f"cluster, {program}")


@pytest.mark.parametrize("program", PROGRAMS)
async def test_promise_holds_when_a_cluster_loses_a_master_without_replica(
    database: ClonedDatabase, tmp_path: Path, output: Path, program: str
) -> None:
    async with run_redis_cluster(tmp_path / "redis", PROGRAMS[program], add_cluster_right(_users(tmp_path))) as setup:

        def url_of(user: str, password: str) -> str:
            return setup.url(f"{user}:{password}")

        async def no_failover(_former: RedisNode) -> None:
            return None

        async with run_services(database, url_of, tmp_path, output) as services:
            broken = await _find_most_subscribed(setup)
            await _break_under_load(services, broken, "killed", no_failover, f"cluster without replicas, {program}")


async def _find_most_subscribed(setup: ClusterSetup) -> RedisNode:
    """Return the master at which most replicas of polls have subscribed to changes."""
    async with asyncio.timeout(20):
        while True:
            counts = [(await node.call("PUBSUB", "NUMSUB", CHANGES_CHANNEL))[1] for node in setup.masters]
            if sum(counts) == REPLICAS:
                return setup.masters[counts.index(max(counts))]
            await asyncio.sleep(0.05)


def _users(folder: Path) -> str:
    return redis_users(load_or_create(folder / "secrets.json"))


async def _break_under_load(
    services: Services,
    broken: RedisNode,
    fault: Fault,
    wait_for_failover: Callable[[RedisNode], Awaitable[None]],
    name: str,
) -> None:
    """Break a server under load, repair it when pushes arrive again, and check the promise."""
    seed = secrets.randbelow(10**6)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        load = Load(services, session, random.Random(seed))
        await load.prepare()
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(stop))
            limited = group.create_task(_use_limited(services, session, stop))
            await _wait_for_pushes(services, session)
            await asyncio.sleep(BEFORE_S)
            broken_at = time.monotonic()
            if fault == "killed":
                await broken.kill()
            else:
                broken.stop()
            failover = group.create_task(_time(wait_for_failover(broken)))
            pushes_s = await _wait_for_pushes(services, session)
            failover_s = await failover
            await (broken.restart() if fault == "killed" else asyncio.to_thread(broken.resume))
            await asyncio.sleep(2 * BEFORE_S)
            again_s = await _wait_for_pushes(services, session)
            stop.set()
        total_s = time.monotonic() - broken_at
    requests = [*load.history.requests, *load.history.beyond]
    outcomes = Counter(each.outcome for each in requests)
    statuses = limited.result()
    print(
        f"\n{name}, master {fault}: another one after {failover_s:.1f} s, pushes again at every replica after "
        f"{pushes_s:.1f} s; after its return {again_s:.1f} s; {dict(outcomes)}, {dict(statuses)} with a rate limit, "
        f"{len(load.history.revocations)} revocations, slowest request {longest_call_s(requests):.2f} s, slowest "
        f"revocation {longest_call_s(load.history.revocations):.2f} s, in {total_s:.0f} s",
        flush=True,
    )
    broken_promises = find_violations_of_promise(load.history) + find_late_answers(load.history, LIMIT_S, 2 * LIMIT_S)
    assert not broken_promises, f"seed {seed}:\n" + "\n".join(broken_promises[:20])
    assert outcomes["unknown"] == 0
    assert set(statuses) == {200}
    for process in (*services.authorities, *services.replicas):
        process.must_run()
        assert "Traceback" not in process.read_log()


async def _time(awaited: Awaitable[None]) -> float:
    started = time.monotonic()
    await awaited
    return time.monotonic() - started


async def _wait_for_pushes(services: Services, session: aiohttp.ClientSession) -> float:
    """Return the seconds until each replica has received a push that was sent from now on."""
    started = time.monotonic()
    before = [await _count_pushes(replica, session) for replica in services.replicas]
    async with asyncio.timeout(PUSHES_LIMIT_S):
        for replica, count in zip(services.replicas, before, strict=True):
            while await _count_pushes(replica, session) == count:
                await asyncio.sleep(0.05)
    return time.monotonic() - started


async def _count_pushes(replica: ServiceProcess, session: aiohttp.ClientSession) -> float:
    async with session.get(f"{replica.base}/metrics") as answer:
        text = await answer.text()
    found = re.search(r"^pollgate_guard_push_delay_seconds_count(?:\{[^}]*\})? ([0-9.e+]+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


async def _use_limited(services: Services, session: aiohttp.ClientSession, stop: asyncio.Event) -> Counter[int]:
    """Use a token with a rate limit that it never reaches, and a stream ticket's route, until stopped."""
    authority = services.authorities[0]
    headers = {"Authorization": f"Bearer {services.admin_key}"}
    body = {"name": "limited", "scopes": ["polls:*:*"], "rate_limit": RATE_LIMIT}
    async with session.post(f"{authority.base}/v1/tokens", json=body, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
        token = (await answer.json())["token"]
    statuses: Counter[int] = Counter()
    while not stop.is_set():
        for replica in services.replicas:
            async with session.get(f"{replica.base}/v1/polls", headers={"Authorization": f"Bearer {token}"}) as answer:
                await answer.read()
                statuses[answer.status] += 1
        await asyncio.sleep(0.05)
    return statuses
