"""Rate limits with a real Redis and during its outage."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
import structlog
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from shared.runtime.redis.client import redis_client
from shared.runtime.redis.rate_limit import RETRY_S, RateLimiter, rate_limiter
from tests.support.proxy import Mode, run_proxy
from tests.support.wall_clock import avoid_end_of_minute

WAIT_LIMIT_S = 1.0
"""Several times what a request may wait for Redis, for a busy machine."""


class Limits(NamedTuple):
    """A limiter and its metrics."""

    limiter: RateLimiter
    registry: CollectorRegistry

    @property
    def in_memory(self) -> bool:
        return self.registry.get_sample_value("pollgate_rate_limit_in_memory") == 1

    def count_decisions(self, result: str) -> float:
        return self.registry.get_sample_value("pollgate_rate_limit_decisions_total", {"result": result}) or 0

    async def count_allowed(self, key: str, limit: int, times: int) -> int:
        return sum([(await self.limiter.hit(key, limit)).is_allowed for _ in range(times)])


@asynccontextmanager
async def open_limiter(url: str, prefix: str) -> AsyncGenerator[Limits, None]:
    registry = CollectorRegistry()
    async with redis_client(url) as redis:
        yield Limits(rate_limiter(redis, prefix, registry), registry)


@pytest.fixture
def prefix() -> str:
    """Return the prefix of this test's keys."""
    return f"test:{secrets.token_hex(8)}"


@pytest.fixture
async def limits(redis_url: str, prefix: str) -> AsyncGenerator[Limits, None]:
    """Open a limiter whose Redis works."""
    async with open_limiter(redis_url, prefix) as limits:
        yield limits


async def test_hits_beyond_the_limit_are_refused(limits: Limits) -> None:
    verdicts = [await limits.limiter.hit("key", 3) for _ in range(4)]

    assert [(v.is_allowed, v.remaining) for v in verdicts] == [(True, 2), (True, 1), (True, 0), (False, 0)]
    assert all(v.limit == 3 and 50 < v.reset_s <= 60 for v in verdicts)
    assert (limits.count_decisions("allowed"), limits.count_decisions("refused"), limits.in_memory) == (3, 1, False)


async def test_cost_is_counted_only_if_the_hit_is_allowed(limits: Limits) -> None:
    verdicts = [await limits.limiter.hit("key", 10, cost) for cost in (7, 4, 3, 1)]

    assert [v.is_allowed for v in verdicts] == [True, False, True, False]


async def test_refused_cost_reports_what_remains_and_when_it_is_allowed(limits: Limits) -> None:
    await limits.limiter.hit("key", 10, 8)

    refused, too_early = await limits.limiter.hit("key", 10, 3), await limits.limiter.hit("key", 10, 10)

    assert (refused.is_allowed, refused.remaining, 50 < refused.reset_s <= 68) == (False, 2, True)
    assert (too_early.is_allowed, too_early.remaining, 100 < too_early.reset_s <= 120) == (False, 2, True)
    assert (await limits.limiter.hit("key", 10, 2)).is_allowed


async def test_concurrent_hits_of_two_processes_share_one_exact_limit(
    redis_url: str, prefix: str, limits: Limits
) -> None:
    async with open_limiter(redis_url, prefix) as other:
        hits = [each.limiter.hit("key", 20) for _ in range(25) for each in (limits, other)]
        verdicts = await asyncio.gather(*hits)

        assert not limits.in_memory
        assert not other.in_memory
    assert sum(verdict.is_allowed for verdict in verdicts) == 20


async def test_each_key_prefix_has_its_own_count(redis_url: str, prefix: str, limits: Limits) -> None:
    async with open_limiter(redis_url, f"{prefix}:other") as other:
        assert await limits.count_allowed("key", 1, 1) == 1
        assert await other.count_allowed("key", 1, 1) == 1


async def test_peek_counts_nothing(limits: Limits) -> None:
    before = [await limits.limiter.peek("key", 2) for _ in range(5)]

    assert await limits.count_allowed("key", 2, 2) == 2
    assert before == [(True, 2, 2, 0.0)] * 5
    exhausted = await limits.limiter.peek("key", 2)
    assert (exhausted.is_allowed, exhausted.remaining) == (False, 0)
    assert 50 < exhausted.reset_s <= 60
    assert (await limits.limiter.peek("key", 3)).remaining == 1


async def test_count_beyond_the_limit_delays_the_next_hit(limits: Limits) -> None:
    await limits.limiter.count("key", 20)

    verdict = await limits.limiter.peek("key", 10)
    assert not verdict.is_allowed
    assert 80 < verdict.reset_s <= 90  # the minute, and then until half of it is forgotten


async def test_count_fades_gradually_in_the_following_minute(redis_url: str, prefix: str, limits: Limits) -> None:
    assert await limits.count_allowed("key", 10, 10) == 10
    async with Redis.from_url(redis_url) as redis:
        (key,) = await redis.keys(f"{prefix}:*")
        await redis.pexpire(key, 45_500)  # as if the minute had ended 14.5 seconds ago

    verdict = await limits.limiter.hit("key", 10)

    assert (verdict.is_allowed, verdict.remaining) == (True, 2)
    assert 0 < verdict.reset_s < 6


async def test_keys_in_redis_expire(redis_url: str, prefix: str, limits: Limits) -> None:
    await limits.limiter.hit("key", 10)

    async with Redis.from_url(redis_url) as redis:
        assert [0 < await redis.ttl(key) <= 120 for key in await redis.keys(f"{prefix}:*")] == [True]


ODD = [
    "",
    "*",
    "a b",
    "a\r\nFLUSHALL\r\n",
    "\0",
    "{a}",
    "}{",
    "ключ",
    "\udcff",
    "#" * 65,
    "x" * 64,
    "x" * 65,
    "x" * 9999,
]


async def test_every_string_is_a_distinct_key(redis_url: str, prefix: str, limits: Limits) -> None:
    for key in ODD:
        assert await limits.count_allowed(key, 1, 2) == 1

    async with Redis.from_url(redis_url) as redis:
        kept = await redis.keys(f"{prefix}:*")
    assert not limits.in_memory
    assert len(kept) == len(ODD)
    assert all(len(key) < 128 for key in kept)


@pytest.mark.parametrize("fault", ["black hole", "refuse"])
async def test_process_without_redis_counts_in_memory_from_what_redis_allowed(
    redis_url: str, prefix: str, fault: Mode
) -> None:
    await avoid_end_of_minute()
    async with run_proxy(redis_url) as proxy, open_limiter(proxy.url(), prefix) as limits:
        assert await limits.count_allowed("key", 5, 2) == 2

        proxy.set_mode(fault)
        started = time.monotonic()
        allowed = await limits.count_allowed("key", 5, 50)
        took_s = time.monotonic() - started

        assert (allowed, limits.in_memory) == (3, True)
        assert not (await limits.limiter.peek("key", 5)).is_allowed
        assert took_s < WAIT_LIMIT_S


async def test_outage_is_logged_once_at_each_end_and_redis_counts_again(redis_url: str, prefix: str) -> None:
    async with run_proxy(redis_url) as proxy, open_limiter(proxy.url(), prefix) as limits:
        with structlog.testing.capture_logs() as logs:
            proxy.set_mode("refuse")
            await asyncio.gather(*(limits.limiter.hit("key", 100) for _ in range(10)))
            await limits.count_allowed("key", 100, 10)
            proxy.set_mode("ok")
            async with asyncio.timeout(RETRY_S * 10):
                while limits.in_memory:
                    await asyncio.gather(*(limits.limiter.hit("key", 100) for _ in range(10)))
                    await asyncio.sleep(0.05)

        logged = [entry for entry in logs if "Redis is" in entry["event"]]
        assert [entry["log_level"] for entry in logged] == ["error", "info"]
        assert all(entry["address"] == f"127.0.0.1:{proxy.port}" for entry in logged)
        async with open_limiter(redis_url, prefix) as other:
            assert await limits.count_allowed("another", 1, 1) == 1
            assert await other.count_allowed("another", 1, 1) == 0


async def test_unresponsive_redis_is_tried_by_one_request_per_second(redis_url: str, prefix: str) -> None:
    async with run_proxy(redis_url) as proxy, open_limiter(proxy.url(), prefix) as limits:
        proxy.set_mode("black hole")
        await limits.limiter.hit("key", 1000)
        waits = []
        end = time.monotonic() + 2.5 * RETRY_S
        while time.monotonic() < end:
            started = time.monotonic()
            await limits.limiter.hit("key", 1000)
            waits.append(time.monotonic() - started)
            await asyncio.sleep(0.01)

        assert sum(wait > 0.1 for wait in waits) <= 4
        assert max(waits) < WAIT_LIMIT_S


async def test_cancelled_retry_does_not_end_the_retries(redis_url: str, prefix: str) -> None:
    async with run_proxy(redis_url) as proxy, open_limiter(proxy.url(), prefix) as limits:
        proxy.set_mode("black hole")
        await limits.limiter.hit("key", 1000)
        await asyncio.sleep(RETRY_S)
        probe = asyncio.create_task(limits.limiter.hit("key", 1000))
        await asyncio.sleep(0.01)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)

        proxy.set_mode("ok")
        async with asyncio.timeout(RETRY_S * 10):
            while limits.in_memory:
                await limits.limiter.hit("key", 1000)
                await asyncio.sleep(0.05)


async def test_flushed_scripts_are_loaded_again(redis_url: str, limits: Limits) -> None:
    assert await limits.count_allowed("key", 2, 1) == 1

    async with Redis.from_url(redis_url) as redis:
        await redis.script_flush()

    assert await limits.count_allowed("key", 2, 2) == 1
    assert not limits.in_memory
