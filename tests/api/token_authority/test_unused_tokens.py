"""The policy that disables unused tokens, with its audit records and its effect on guards."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.tasks.receipts import Receipts
from services.token_authority.tasks.relay import ChangeRelay
from services.token_authority.tasks.restoration import RestorationWatch
from services.token_authority.tasks.retention import DAYS_KEPT, MAX_DAYS, Retention
from services.token_authority.tasks.signing import PURPOSE, Signer
from services.token_authority.tasks.unused_tokens import UnusedTokens
from shared.contract.token import digest
from shared.runtime.crypto.encryption import Encryptor, read_secrets
from shared.runtime.postgres.database import Database
from shared.runtime.postgres.database import database as connected
from shared.runtime.process.clock import elapsed_s
from shared.runtime.redis.client import RedisClient, redis_client
from tests.support.databases import ClonedDatabase
from tests.support.guards import FakeGuard
from tests.support.postgres import copy_token, fetch
from tests.support.stack import KEY_ENCRYPTION_KEY, Authority, run_token_authority
from tests.support.token_fixtures import Reader, backdate, expire_token

DAYS = 90
LONG = timedelta(days=DAYS + 1)
SHORT = timedelta(days=DAYS - 1)


class Policy:
    """The policy task of one process, run on demand. Its own relay does not run; that of the authority does."""

    def __init__(self, database: Database, redis: RedisClient) -> None:
        secret = read_secrets("X", KEY_ENCRYPTION_KEY)
        encryptor = Encryptor(secret, PURPOSE)
        metrics = AuthorityMetrics(CollectorRegistry())
        signer = Signer(database, encryptor, clock=elapsed_s)
        receipts = Receipts(secret)
        watch = RestorationWatch(database, receipts, metrics, clock=elapsed_s)
        relay = ChangeRelay(database, redis, signer, receipts, watch, metrics, issuer="x")
        self._unused = UnusedTokens(database, relay, days=DAYS)
        self.switched_off = UnusedTokens(database, relay, days=0, interval_s=0.01)

    async def run(self) -> int:
        """Run the policy. Return how many tokens it disabled."""
        return await self._unused.disable(datetime.now(UTC))


@pytest.fixture
async def policy(authority: Authority, database: ClonedDatabase, redis_url: str) -> AsyncGenerator[Policy, None]:
    """Run the policy task beside an authority that has no policy."""
    async with (
        connected(database.token_authority_url, size=4, statement_cache=100) as opened,
        redis_client(redis_url) as redis,
    ):
        yield Policy(opened, redis)


async def create_aged_token(authority: Authority, database: ClonedDatabase, name: str, **past: Any) -> str:
    issued = await authority.issue(name=name)
    await backdate(database, issued["id"], **past)
    return str(issued["id"])


async def list_disabled(authority: Authority) -> list[str]:
    return await Reader(authority).list_names(status="disabled")


async def test_tokens_unused_for_configured_days_are_disabled(
    authority: Authority, database: ClonedDatabase, policy: Policy
) -> None:
    await create_aged_token(authority, database, "never used", created=LONG)
    await create_aged_token(authority, database, "not used lately", created=2 * LONG, used=LONG)
    await create_aged_token(authority, database, "new", created=SHORT)
    await create_aged_token(authority, database, "used lately", created=LONG, used=SHORT)
    await expire_token(database, await create_aged_token(authority, database, "expired", created=LONG))
    await authority.revoke(await create_aged_token(authority, database, "revoked", created=LONG))

    await policy.run()

    assert await list_disabled(authority) == ["never used", "not used lately"]


async def test_without_policy_no_token_is_disabled(
    authority: Authority, database: ClonedDatabase, policy: Policy
) -> None:
    await create_aged_token(authority, database, "never used", created=timedelta(days=5000))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await policy.switched_off.run()

    assert await list_disabled(authority) == []


async def test_authority_applies_configured_policy(
    authority: Authority, database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    await create_aged_token(authority, database, "never used", created=LONG)

    async with run_token_authority(database, redis_url, tmp_path, disable_unused_after_days=DAYS):
        while await list_disabled(authority) != ["never used"]:
            await asyncio.sleep(0.02)


async def test_policy_writes_audit_record_and_reaches_guards(
    authority: Authority, database: ClonedDatabase, policy: Policy
) -> None:
    issued, guard = await authority.issue(), FakeGuard(authority)
    await backdate(database, issued["id"], created=LONG)
    await guard.follow()

    await policy.run()

    shown = (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json
    assert (shown["disabled_by"], shown["disabled_reason"]) == ("policy", "unused for 90 days")
    (change,) = (await guard.sync()).json["changes"]
    assert change["digest"] == digest(issued["token"]).hex()
    record = (await authority.manage("GET", "/v1/audit?action=token.disable")).json["items"][0]
    assert (record["actor"], record["subject"]) == ("policy", f"token:{issued['id']}")
    assert record["after"]["disabled_reason"] == "unused for 90 days"
    assert (await authority.introspect(issued["token"])).json == {"active": False}


async def test_enabled_token_counts_from_enabling(
    authority: Authority, database: ClonedDatabase, policy: Policy
) -> None:
    token_id = await create_aged_token(authority, database, "enabled", created=LONG)
    await policy.run()

    assert (await authority.manage("POST", f"/v1/tokens/{token_id}/enable")).json["status"] == "active"
    await policy.run()
    at_once = await list_disabled(authority)
    past = "UPDATE token_authority.token SET enabled_at = enabled_at - $1::interval"
    await fetch(database.admin_url, past, LONG)
    await policy.run()

    assert (at_once, await list_disabled(authority)) == ([], ["enabled"])


async def test_concurrent_processes_disable_each_token_once(
    authority: Authority, database: ClonedDatabase, policy: Policy
) -> None:
    issued = await authority.issue()
    await copy_token(database, issued["id"], 250)
    await fetch(database.admin_url, "UPDATE token_authority.token SET created_at = now() - $1::interval", LONG)

    counts = await asyncio.gather(*(policy.run() for _ in range(3)))
    counts += [await policy.run() for _ in range(2)]

    assert (sum(counts), counts[-1]) == (251, 0)
    assert len(await list_disabled(authority)) == 251
    query = "SELECT count(*) AS all, count(DISTINCT subject) AS once FROM token_authority.audit_log WHERE action = $1"
    (records,) = await fetch(database.admin_url, query, "token.disable")
    (log,) = await fetch(database.admin_url, "SELECT count(*) AS all, max(seq) AS head FROM token_authority.change_log")
    assert tuple(records) == tuple(log) == (251, 251)


@pytest.fixture
async def retention(database: ClonedDatabase, authority: Authority) -> AsyncGenerator[Retention, None]:
    """Return the retention task on the database of the authority."""
    async with connected(database.token_authority_url, size=2, statement_cache=100) as opened:
        yield Retention(opened)


async def test_daily_counts_are_kept_for_400_days_and_deleted_in_parts(
    authority: Authority, database: ClonedDatabase, retention: Retention
) -> None:
    token_id, now = (await authority.issue())["id"], datetime.now(UTC)
    insert = "INSERT INTO token_authority.token_day SELECT $1, $2::date - n, 1, 0 FROM generate_series(0, $3::int) AS n"
    await fetch(database.admin_url, insert, token_id, now.date(), DAYS_KEPT.days + MAX_DAYS + 5)
    count = "SELECT count(*) FROM token_authority.token_day"

    await retention.delete_old(now)
    ((first,),) = await fetch(database.admin_url, count)
    await retention.delete_old(now)
    ((second,),) = await fetch(database.admin_url, count)

    assert (first, second) == (DAYS_KEPT.days + 1 + 5, DAYS_KEPT.days + 1)
