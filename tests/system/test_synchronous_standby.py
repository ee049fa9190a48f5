"""With a synchronous standby, a revocation that the standby has not confirmed is not reported as effective."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest

from pollgate.stack.embedded import start_postgres
from pollgate.stack.migrate import migrate_all
from tests.support.databases import ClonedDatabase, role_passwords, urls_of
from tests.support.stack import run_token_authority


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[ClonedDatabase, None]:
    """Start a server for this test only, because the test changes its settings."""
    server = await start_postgres(tmp_path / "postgres", "s3cret")
    try:
        made = urls_of(server.url("postgres", "s3cret"), "pollgate")
        await migrate_all(made.admin_url, role_passwords())
        yield made
    finally:
        await asyncio.to_thread(server.stop)


async def test_revocation_not_confirmed_by_standby_returns_503_when_repeated(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with run_token_authority(database, redis_url, tmp_path) as authority:
        issued = await authority.issue()
        revoke = f"/v1/tokens/{issued['id']}/revoke"
        admin = await asyncpg.connect(database.admin_url)
        await admin.execute("SET synchronous_commit = local")
        await admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'away'")
        await admin.execute("SELECT pg_reload_conf()")
        while await admin.fetchval("SHOW synchronous_standby_names") == "":
            await asyncio.sleep(0.01)

        assert (await authority.manage("POST", revoke, {"reason": "unneeded"})).status == 503
        await _wait_until_committed_locally(admin)

        assert (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json["status"] == "revoked"
        assert (await authority.manage("POST", revoke, {"reason": "unneeded"})).status == 503
        await admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await admin.execute("SELECT pg_reload_conf()")
        async with asyncio.timeout(10):
            while (answer := await authority.manage("POST", revoke, {"reason": "unneeded"})).status == 503:
                await asyncio.sleep(0.05)
        assert answer.json["effective"] is True
        await admin.close()


async def _wait_until_committed_locally(admin: "asyncpg.Connection") -> None:
    """End the wait for the standby, as a restart of the server does."""
    async with asyncio.timeout(10):
        while not await admin.fetchval("SELECT count(*) FROM token_authority.token WHERE revoked_at IS NOT NULL"):
            await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            await asyncio.sleep(0.05)
