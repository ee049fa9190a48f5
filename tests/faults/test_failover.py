"""The primary of two PostgreSQL servers fails or changes under load: nothing is lost, and the services recover."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import pytest

from bench.contest import differences, wait_until_idle
from bench.voters import Poll, Voters
from pollgate.stack.migrate import migrate_all
from shared.runtime.process.clock import elapsed_s
from tests.faults.cluster_processes import ServiceProcess
from tests.faults.load import Load
from tests.support.databases import ClonedDatabase, role_passwords, urls_of
from tests.support.history import find_violations_of_promise, longest_call_s
from tests.support.ports import take_port
from tests.support.postgres import fetch
from tests.support.postgres_server import PostgresServer, run_primary_and_standby, url_of
from tests.support.processes import authority_settings, polls_settings
from tests.support.stack import Authority, Polls

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LEASE_S: Final = 2.0
PROGRESS: Final = 100
"""Accepted requests, and ballots, before the change and again after it."""
RECOVERY_LIMIT_S: Final = 60.0
OPTIONS: Final = ("red", "green", "blue")

Change = Callable[[PostgresServer, PostgresServer], Awaitable[None]]


class Services(NamedTuple):
    """Two authorities and two polls replicas, with both servers in their URLs."""

    authorities: list[ServiceProcess]
    replicas: list[ServiceProcess]
    admin_key: str
    database: ClonedDatabase
    primary: PostgresServer
    standby: PostgresServer

    @property
    def url_of_new_primary(self) -> str:
        """The URL of the database on the former standby, for the superuser."""
        return url_of([self.standby], "pollgate")


@pytest.fixture
async def services(redis_url: str, tmp_path: Path, output: Path) -> AsyncGenerator[Services, None]:
    """Run the services and both servers."""
    async with AsyncExitStack() as stack:
        primary, standby = await stack.enter_async_context(run_primary_and_standby(tmp_path))
        # The standby comes first, so that each connection passes over it.
        url = url_of([standby, primary])
        await fetch(primary.url, "CREATE DATABASE pollgate")
        database = urls_of(url, "pollgate")
        await migrate_all(database.admin_url, role_passwords())
        settings = {**authority_settings(database, redis_url, tmp_path), "REVOCATION_LEASE": str(LEASE_S)}
        authorities = [
            await _start(stack, ServiceProcess(f"failover-{n}", "token_authority", take_port(), settings, output))
            for n in range(2)
        ]
        replicas = [
            await _start(
                stack,
                ServiceProcess(
                    f"failover-polls-{n}", "polls", take_port(), polls_settings(database, redis_url, each.base), output
                ),
            )
            for n, each in enumerate(authorities)
        ]
        yield Services(authorities, replicas, (tmp_path / "admin.key").read_text().strip(), database, primary, standby)


async def _start(stack: AsyncExitStack, process: ServiceProcess) -> ServiceProcess:
    stack.push_async_callback(asyncio.to_thread, process.end)
    process.start()
    await process.ready()
    return process


async def kill_and_promote(primary: PostgresServer, standby: PostgresServer) -> None:
    await primary.kill()
    await standby.promote()


async def freeze_and_promote(primary: PostgresServer, standby: PostgresServer) -> None:
    """Let the primary swallow packets, as a machine that is gone does."""
    primary.freeze()
    await standby.promote()


async def switch_over(primary: PostgresServer, standby: PostgresServer) -> None:
    """Change the roles of both servers, as Patroni does: the former primary comes back as a standby."""
    await primary.stop()
    await standby.promote()
    primary.follow(standby)
    await primary.start()


@pytest.mark.parametrize("change", [kill_and_promote, freeze_and_promote, switch_over])
async def test_change_of_the_primary_loses_nothing_and_needs_no_restart(services: Services, change: Change) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        load = Load(services, session, random.Random(1))
        await load.prepare()
        await load.wait_until_settled()
        authority = Authority(session, services.authorities[0].base)
        authority.admin_key = services.admin_key
        caller = Polls(session, services.replicas[0].base)
        caller.token = (await authority.issue())["token"]
        polls = [await _create_poll(caller, settings) for settings in ({"saveParticipantNames": True}, {})]
        voters = Voters(polls, [each.port for each in services.replicas], caller.token, seed=1)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(stop))
            group.create_task(voters.vote(4, stop.is_set))
            await _wait_for_progress(load, voters)
            changed_at = elapsed_s()
            await change(services.primary, services.standby)
            promoted_at = elapsed_s()
            await _wait_for_progress(load, voters)
            stop.set()
        await load.wait_until_settled()
        lost = await load.find_lost()
        for process in (*services.authorities, *services.replicas):
            process.must_run()
        await wait_until_idle(services.url_of_new_primary)
        results = {poll.id: await caller.get_results(poll.id) for poll in polls}
        wrong = await differences(voters, polls, results, services.url_of_new_primary)
    if change is freeze_and_promote:
        await services.primary.kill()
    _report(change.__name__, load, voters, changed_at, promoted_at)

    assert load.acknowledged
    assert [*find_violations_of_promise(load.history), *lost, *wrong] == []


async def _create_poll(caller: Polls, settings: dict[str, Any]) -> Poll:
    options = [{"id": option, "title": option} for option in OPTIONS]
    made = await caller.create_poll(options=options, settings=settings)
    chosen = made["settings"]
    return Poll(made["id"], OPTIONS, chosen["allowSelectionOfMultipleOptions"], chosen["allowRevote"])


async def _wait_for_progress(load: Load, voters: Voters) -> None:
    """Wait until requests are accepted, ballots are cast and a revocation is acknowledged."""
    accepted, casts, revoked = _count_accepted(load), voters.casts, len(load.acknowledged)
    async with asyncio.timeout(RECOVERY_LIMIT_S):
        while (
            _count_accepted(load) < accepted + PROGRESS
            or voters.casts < casts + PROGRESS
            or len(load.acknowledged) == revoked
        ):
            await asyncio.sleep(0.05)


def _count_accepted(load: Load) -> int:
    return sum(request.outcome == "accepted" for request in load.history.requests)


def _report(name: str, load: Load, voters: Voters, changed_at: float, promoted_at: float) -> None:
    requests = load.history.requests
    outcomes = Counter(request.outcome for request in requests)
    failed = [each for each in requests if each.outcome == "unknown" and each.answered_at > changed_at]
    failures_s = max((each.answered_at for each in failed), default=changed_at) - changed_at
    print(
        f"\n{name}: the change took {promoted_at - changed_at:.2f} s; requests failed until {failures_s:.2f} s after "
        f"its beginning; {outcomes['accepted']} accepted, {outcomes['refused']} refused, {outcomes['unknown']} failed, "
        f"the slowest in {longest_call_s(requests):.2f} s; {len(load.acknowledged)} tokens revoked, "
        f"{len(load.alive)} in use; {voters.casts} ballots, {voters.lost} attempts without an answer",
        flush=True,
    )
