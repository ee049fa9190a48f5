"""One token authority and three polls replicas, each a process of its own."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from tests.support.databases import ClonedDatabase
from tests.support.processes import authority_settings, polls_settings, service
from tests.support.stack import Authority, Polls


async def test_a_revoked_token_is_refused_by_three_replicas_within_a_second(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            service("token_authority", authority_settings(database, redis_url, tmp_path), output)
        )
        replicas = [
            await stack.enter_async_context(service("polls", polls_settings(database, redis_url, running.base), output))
            for _ in range(3)
        ]
        session = await stack.enter_async_context(aiohttp.ClientSession())
        authority = Authority(session, running.base)
        authority.admin_key = (tmp_path / "admin.key").read_text().strip()
        endpoint = await authority.endpoint()
        issued = await authority.issue("polls:read:PLAT")
        callers = []
        for replica in replicas:
            caller = Polls(session, replica.base)
            caller.endpoint, caller.token = endpoint, issued["token"]
            callers.append(caller)
            assert (await caller.call("GET")).status == 200

        await authority.revoke(issued["id"])
        answered = time.monotonic()
        refused_after_ms = await asyncio.gather(*(_until_refused(caller, answered) for caller in callers))

        print(f"\nrefused by three replicas after {sorted(refused_after_ms)} ms from the revocation's answer")
        assert max(refused_after_ms) < 1000
        assert {(await caller.call("GET")).status for caller in callers} == {403}


async def _until_refused(caller: Polls, since: float) -> int:
    async with asyncio.timeout(10):
        while (await caller.call("GET")).status != 403:
            await asyncio.sleep(0.002)
    return round((time.monotonic() - since) * 1000)
