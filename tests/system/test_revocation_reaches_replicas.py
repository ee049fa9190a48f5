"""Revocation with one token authority and three replicas of polls, each in its own process."""

from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.support.databases import ClonedDatabase
from tests.support.processes import authority_settings, polls_settings, run_service
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.own_database


async def test_revoked_token_returns_403_in_three_replicas_after_response(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            run_service("token_authority", authority_settings(database, redis_url, tmp_path), output)
        )
        replicas = [
            await stack.enter_async_context(
                run_service("polls", polls_settings(database, redis_url, running.base), output)
            )
            for _ in range(3)
        ]
        session = await stack.enter_async_context(aiohttp.ClientSession())
        authority = Authority(session, running.base)
        authority.admin_key = (tmp_path / "admin.key").read_text().strip()
        endpoint = await authority.get_endpoint()
        waited_ms = []
        for _ in range(20):
            issued = await authority.issue("polls:read:PLAT")
            callers = []
            for replica in replicas:
                caller = Polls(session, replica.base)
                caller.endpoint, caller.token = endpoint, issued["token"]
                callers.append(caller)
                assert (await caller.call("GET")).status == 200

            answer = await authority.revoke(issued["id"])

            assert [(await caller.call("GET")).status for caller in callers] == [403, 403, 403]
            assert answer["guards"] == {"confirmed": 3, "expired": 0}
            waited_ms.append(answer["waited_ms"])
        print(f"\neffective in three replicas after {sorted(waited_ms)} ms")
