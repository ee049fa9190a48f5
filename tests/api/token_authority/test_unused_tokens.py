"""The operator's policy: tokens that nobody uses are disabled, on record and with word to the guards."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.tasks.relay import ChangeRelay
from services.token_authority.tasks.retention import DAYS_KEPT, MAX_DAYS, Retention
from services.token_authority.tasks.signing import PURPOSE, Signer
from services.token_authority.tasks.unused_tokens import UnusedTokens
from shared.runtime.crypto.encryption import Encryptor, read_secrets
from shared.runtime.postgres.database import Database
from shared.runtime.postgres.database import database as connected
from shared.runtime.process.clock import elapsed_s
from shared.runtime.redis.client import redis_client
from tests.support.databases import ClonedDatabase
from tests.support.found import Reader, end, make_past
from tests.support.guards import FakeGuard
from tests.support.postgres import copy_token, fetch
from tests.support.stack import KEY_ENCRYPTION_KEY, Authority, token_authority

DAYS = 90
LONG = timedelta(days=DAYS + 1)
SHORT = timedelta(days=DAYS - 1)


class Policy:
    """The policy of one process, as it comes round. The relay that it wakes is asleep; the authority's own goes on."""

    def __init__(self, database: Database, redis: Redis) -> None:
        encryptor = Encryptor(read_secrets("X", KEY_ENCRYPTION_KEY), PURPOSE)
        metrics = AuthorityMetrics(CollectorRegistry())
        signer = Signer(database, encryptor, clock=elapsed_s)
        relay = ChangeRelay(database, redis, signer, metrics, issuer="x", redis_address="x")
        self._unused = UnusedTokens(database, relay, days=DAYS)
        self.switched_off = UnusedTokens(database, relay, days=0, interval_s=0.01)

    async def come_round(self) -> int:
        """How many tokens it has disabled."""
        return await self._unused.disable(datetime.now(UTC))


@pytest.fixture
async def policy(authority: Authority, database: ClonedDatabase, redis_url: str) -> AsyncGenerator[Policy, None]:
    """Beside the authority that the test talks to, which has none."""
    async with (
        connected(database.token_authority_url, size=4, statement_cache=100) as opened,
        redis_client(redis_url) as redis,
    ):
        yield Policy(opened, redis)


async def aged(authority: Authority, database: ClonedDatabase, name: str, **past: Any) -> str:
    issued = await authority.issue(name=name)
    await make_past(database, issued["id"], **past)
    return str(issued["id"])


async def disabled(authority: Authority) -> list[str]:
    return await Reader(authority).names(status="disabled")


async def test_tokens_that_nobody_has_used_for_so_long_are_disabled(
    authority: Authority, database: ClonedDatabase, policy: Policy
) -> None:
    await aged(authority, database, "never used", made=LONG)
    await aged(authority, database, "not used lately", made=2 * LONG, used=LONG)
    await aged(authority, database, "new", made=SHORT)
    await aged(authority, database, "used lately", made=LONG, used=SHORT)
    await end(database, await aged(authority, database, "expired", made=LONG))
    await authority.revoke(await aged(authority, database, "revoked", made=LONG))

    await policy.come_round()

    assert await disabled(authority) == ["never used", "not used lately"]


async def test_without_the_policy_nothing_is_disabled(
    authority: Authority, database: ClonedDatabase, policy: Policy
) -> None:
    await aged(authority, database, "never used", made=timedelta(days=5000))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await policy.switched_off.run()

    assert await disabled(authority) == []


async def test_the_authority_follows_the_policy_that_it_is_set(
    authority: Authority, database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    await aged(authority, database, "never used", made=LONG)

    async with token_authority(database, redis_url, tmp_path, disable_unused_after_days=DAYS):
        while await disabled(authority) != ["never used"]:
            await asyncio.sleep(0.02)


async def test_it_is_on_record_and_the_guards_are_told(
    authority: Authority, database: ClonedDatabase, policy: Policy
) -> None:
    issued, guard = await authority.issue(), FakeGuard(authority)
    await make_past(database, issued["id"], made=LONG)
    await guard.follow()

    await policy.come_round()

    shown = (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json
    assert (shown["disabled_by"], shown["disabled_reason"]) == ("policy", "unused for 90 days")
    (told,) = (await guard.sync()).json["changes"]
    assert (told["kind"], told["token_id"]) == ("disabled", issued["id"])
    record = (await authority.manage("GET", "/v1/audit?action=token.disable")).json["items"][0]
    assert (record["actor"], record["subject"]) == ("policy", f"token:{issued['id']}")
    assert record["after"]["disabled_reason"] == "unused for 90 days"
    assert (await authority.introspect(issued["token"])).json == {"active": False}


async def test_a_token_that_is_enabled_again_counts_from_then(
    authority: Authority, database: ClonedDatabase, policy: Policy
) -> None:
    token_id = await aged(authority, database, "enabled", made=LONG)
    await policy.come_round()

    assert (await authority.manage("POST", f"/v1/tokens/{token_id}/enable")).json["status"] == "active"
    await policy.come_round()
    at_once = await disabled(authority)
    past = "UPDATE token_authority.token SET enabled_at = enabled_at - $1::interval"
    await fetch(database.admin_url, past, LONG)
    await policy.come_round()

    assert (at_once, await disabled(authority)) == ([], ["enabled"])


async def test_many_are_disabled_once_each_by_processes_that_come_round_together(
    authority: Authority, database: ClonedDatabase, policy: Policy
) -> None:
    issued = await authority.issue()
    await copy_token(database, issued["id"], 250)
    await fetch(database.admin_url, "UPDATE token_authority.token SET created_at = now() - $1::interval", LONG)

    counts = await asyncio.gather(*(policy.come_round() for _ in range(3)))
    counts += [await policy.come_round() for _ in range(2)]

    assert (sum(counts), counts[-1]) == (251, 0)
    assert len(await disabled(authority)) == 251
    query = "SELECT count(*) AS all, count(DISTINCT subject) AS once FROM token_authority.audit_log WHERE action = $1"
    (records,) = await fetch(database.admin_url, query, "token.disable")
    (log,) = await fetch(database.admin_url, "SELECT count(*) AS all, max(seq) AS head FROM token_authority.change_log")
    assert tuple(records) == tuple(log) == (251, 251)


@pytest.fixture
async def retention(database: ClonedDatabase, authority: Authority) -> AsyncGenerator[Retention, None]:
    """What each process does every minute."""
    async with connected(database.token_authority_url, size=2, statement_cache=100) as opened:
        yield Retention(opened)


async def test_days_of_use_are_kept_for_400_days_and_then_go_a_part_at_a_time(
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
