"""Replicas are replaced one by one under load, and no request fails: with one release, and with two side by side."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import pytest

from shared.runtime.process.clock import elapsed_s
from tests.faults.cluster_processes import ClusterProcess, ServiceProcess
from tests.support.databases import ClonedDatabase
from tests.support.http import wait_until_ready
from tests.support.last_release import extract_last_release
from tests.support.ports import take_port
from tests.support.processes import authority_settings, polls_settings
from tests.support.stack import Authority, Polls
from tests.system.haproxy import HAProxy
from tests.system.rolling_load import RollingLoad
from tests.system.stalls import watch_stalls

pytestmark = [pytest.mark.own_database, pytest.mark.slow, pytest.mark.timeout(240)]

GRACE_S: Final = 3.0
"""Longer than the proxy takes to notice, on a busy machine too."""
ROUNDS: Final = 2


class RollingStack(NamedTuple):
    """Replicas of both services with the proxy in front, and the load."""

    authorities: list[ServiceProcess]
    replicas: list[ServiceProcess]
    load: RollingLoad

    async def replace(self, process: ServiceProcess) -> None:
        """Stop a process by SIGTERM, and start another one in its place."""
        await process.terminate()
        process.start()
        await wait_until_ready(f"{process.base}/readyz", process._process)


@asynccontextmanager
async def run_stack(
    database: ClonedDatabase, redis_url: str, folder: Path, output: Path, codes: Sequence[Path | None]
) -> AsyncGenerator[RollingStack, None]:
    """Run an authority and a replica of polls for each code, with one proxy in front."""
    ports = {"polls": [take_port() for _ in codes], "token-authority": [take_port() for _ in codes]}
    proxy = HAProxy(ports, folder, output)
    more = {"TRUSTED_PROXY_HOPS": "1", "SHUTDOWN_GRACE_S": str(GRACE_S)}
    chosen = {**authority_settings(database, redis_url, folder), **more}
    authorities = [
        ServiceProcess("authority", "token_authority", port, chosen, output, code)
        for port, code in zip(ports["token-authority"], codes, strict=True)
    ]
    chosen = {**polls_settings(database, redis_url, proxy.token_authority), **more, "POLLS_WORKERS": "2"}
    replicas = [
        ServiceProcess("polls", "polls", port, chosen, output, code)
        for port, code in zip(ports["polls"], codes, strict=True)
    ]
    async with AsyncExitStack() as stack:
        for process in (*authorities, *replicas, proxy):
            await _start(stack, process)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())
        )
        session._retry_connection = False  # aiohttp would repeat a request on a connection that was closed
        stalls = await stack.enter_async_context(watch_stalls(database.admin_url))
        authority = Authority(session, proxy.token_authority)
        authority.admin_key = (folder / "admin.key").read_text().strip()
        load = RollingLoad(authority, Polls(session, proxy.polls), [replica.base for replica in replicas], stalls)
        await load.prepare()
        yield RollingStack(authorities, replicas, load)


async def _start(stack: AsyncExitStack, process: ClusterProcess) -> None:
    stack.push_async_callback(asyncio.to_thread, process.end)
    process.start()
    await process.ready()


def check(load: RollingLoad, *, replaced: int) -> None:
    """Report what the load has seen, and fail for each request that was not served as it should be."""
    seconds = elapsed_s() - load.started_at
    print(
        f"\n{sum(load.sent.values())} requests in {seconds:.0f} s, {replaced} processes replaced, "
        f"{load.revocations} revocations, {load.resumed_streams} streams resumed, "
        f"{load.too_busy} refused as the machine was too busy, {len(load.failures)} failures",
        dict(load.sent),
        *load.failures[:20],
        sep="\n",
        flush=True,
    )
    assert load.failures == []
    assert load.accepted_after_revocation == []
    assert load.revocations > 0
    assert load.resumed_streams > 0


async def test_no_request_fails_while_replicas_and_authorities_are_replaced(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    async with run_stack(database, redis_url, tmp_path, output, [None, None]) as stack:
        processes = [*stack.authorities, *stack.replicas]

        async def replace_all() -> None:
            for _ in range(ROUNDS):
                for process in processes:
                    await stack.replace(process)

        await stack.load.run(replace_all)
    check(stack.load, replaced=ROUNDS * len(processes))


async def test_no_request_fails_while_the_last_release_serves_beside_this_one(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    last_release = extract_last_release(tmp_path)
    async with run_stack(database, redis_url, tmp_path, output, [last_release, None]) as stack:
        of_this_release = [stack.authorities[1], stack.replicas[1]]

        async def replace_those_of_this_release() -> None:
            for _ in range(ROUNDS):
                for process in of_this_release:
                    await stack.replace(process)

        await stack.load.run(replace_those_of_this_release)
    check(stack.load, replaced=ROUNDS * len(of_this_release))
