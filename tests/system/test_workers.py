"""A replica with several worker processes, each with its own guard."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple

import aiohttp
import psutil
import pytest

from tests.support.databases import ClonedDatabase
from tests.support.processes import Service, polls_settings, run_service
from tests.support.scrape import scrape
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.own_database

WORKERS = 2


class Replica(NamedTuple):
    """A service with two workers, and a caller that opens a new connection for each request."""

    service: Service
    polls: Polls

    @property
    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.service.process.pid).children()


@pytest.fixture
async def replica(
    database: ClonedDatabase, redis_url: str, authority: Authority, output: Path
) -> AsyncGenerator[Replica, None]:
    settings = {**polls_settings(database, redis_url, authority.base), "POLLS_WORKERS": str(WORKERS)}
    async with (
        run_service("polls", settings, output) as running,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
    ):
        polls = Polls(session, running.base)
        polls.endpoint = await authority.get_endpoint()
        yield Replica(running, polls)


async def test_every_worker_confirms_a_revocation(replica: Replica, authority: Authority) -> None:
    async with asyncio.timeout(10):
        while (await authority.revoke((await authority.issue())["id"]))["guards"]["confirmed"] < WORKERS:
            await asyncio.sleep(0.05)
    issued = await authority.issue()
    holder = replica.polls.with_token(issued["token"])
    assert {(await holder.call("GET")).status for _ in range(20)} == {200}

    answer = await authority.revoke(issued["id"])

    assert answer["guards"] == {"confirmed": WORKERS, "expired": 0}
    assert {(await holder.call("GET")).status for _ in range(20)} == {403}
    async with asyncio.timeout(10):
        while await count_hits(replica) < 2 * (20 - WORKERS):  # the other worker reports them at its next sync
            await asyncio.sleep(0.1)
    assert await count_hits(replica) == 2 * (20 - WORKERS)


async def test_metrics_of_all_workers_are_summed(replica: Replica, authority: Authority) -> None:
    holder = replica.polls.with_token((await authority.issue())["token"])
    assert {(await holder.call("GET")).status for _ in range(20)} == {200}
    labels = {"route": "/x1/{endpoint}", "method": "GET", "status": "2xx"}

    async with asyncio.timeout(15):  # a worker passes its own on every second
        shown = await scrape(replica.polls)
        while (
            shown.value("pollgate_http_request_seconds_count", labels) < 20
            or shown.value("pollgate_database_connections_limit") < WORKERS * 4
        ):
            await asyncio.sleep(0.1)
            shown = await scrape(replica.polls)

    assert shown.value("pollgate_http_request_seconds_count", labels) == 20
    assert shown.value("pollgate_database_connections_limit") == WORKERS * 4
    assert shown.value("pollgate_event_streams_limit") == WORKERS * 1000
    assert shown.value("pollgate_build_info") == 1
    one = max(worker.memory_info().rss for worker in replica.workers)
    assert shown.value("process_resident_memory_bytes") > 1.2 * one


async def count_hits(replica: Replica) -> float:
    """Return the cache hits of all workers."""
    metrics = (await replica.polls("GET", "/metrics")).body.decode()
    (hits,) = (line for line in metrics.splitlines() if line.startswith('pollgate_guard_cache_total{result="hit"}'))
    return float(hits.split()[-1])


async def test_sigterm_stops_all_workers(replica: Replica) -> None:
    workers = replica.workers
    assert len(workers) == WORKERS

    replica.service.signal(signal.SIGTERM)

    assert await asyncio.to_thread(replica.service.process.wait, 15) == 0
    assert not any(worker.is_running() for worker in workers)


async def test_killed_worker_stops_service_with_status_1(replica: Replica) -> None:
    workers = replica.workers

    workers[0].kill()

    assert await asyncio.to_thread(replica.service.process.wait, 15) == 1
    assert not any(worker.is_running() for worker in workers)
    assert f'"pid": {workers[0].pid}, "signal": {signal.SIGKILL}' in replica.service.log.read_text()


async def test_workers_stop_when_first_process_is_killed(replica: Replica) -> None:
    workers = replica.workers

    replica.service.signal(signal.SIGKILL)

    stopped, alive = await asyncio.to_thread(psutil.wait_procs, workers, 15)
    assert (len(stopped), alive) == (WORKERS, [])
