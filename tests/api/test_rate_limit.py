"""Counting against a limit, over a real Redis and without it."""

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

from shared.runtime.redis.rate_limit import RETRY_S, RateLimiter, rate_limiter
from tests.support.proxy import Mode, proxied
from tests.support.wall_clock import avoid_end_of_minute

WAIT_LIMIT_S = 1.0
"""Several times what a request may wait for Redis, on a machine with other things to do."""


class Scene(NamedTuple):
    """A limiter and what it counts of itself."""

    limiter: RateLimiter
    registry: CollectorRegistry

    @property
    def in_memory(self) -> bool:
        return self.registry.get_sample_value("pollgate_rate_limit_in_memory") == 1

    def decided(self, result: str) -> float:
        return self.registry.get_sample_value("pollgate_rate_limit_decisions_total", {"result": result}) or 0

    async def allowed(self, key: str, limit: int, times: int) -> int:
        return sum([(await self.limiter.hit(key, limit)).allowed for _ in range(times)])


@asynccontextmanager
async def opened(url: str, prefix: str) -> AsyncGenerator[Scene, None]:
    registry = CollectorRegistry()
    async with rate_limiter(url, prefix, registry) as limiter:
        yield Scene(limiter, registry)


@pytest.fixture
def prefix() -> str:
    """Of this test's keys."""
    return f"test:{secrets.token_hex(8)}"


@pytest.fixture
async def scene(redis_url: str, prefix: str) -> AsyncGenerator[Scene, None]:
    """A limiter whose Redis works."""
    async with opened(redis_url, prefix) as made:
        yield made


async def test_a_limit_is_how_often_it_may_happen_in_a_minute(scene: Scene) -> None:
    verdicts = [await scene.limiter.hit("key", 3) for _ in range(4)]

    assert [(v.allowed, v.remaining) for v in verdicts] == [(True, 2), (True, 1), (True, 0), (False, 0)]
    assert all(v.limit == 3 and 50 < v.reset_s <= 60 for v in verdicts)
    assert (scene.decided("allowed"), scene.decided("refused"), scene.in_memory) == (3, 1, False)


async def test_what_costs_more_counts_more_and_what_is_refused_does_not_count(scene: Scene) -> None:
    verdicts = [await scene.limiter.hit("key", 10, cost) for cost in (7, 4, 3, 1)]

    assert [v.allowed for v in verdicts] == [True, False, True, False]


async def test_two_processes_share_a_limit_and_it_is_exact_however_many_ask_at_once(
    redis_url: str, prefix: str, scene: Scene
) -> None:
    async with opened(redis_url, prefix) as other:
        asked = [asker.limiter.hit("key", 20) for _ in range(25) for asker in (scene, other)]
        verdicts = await asyncio.gather(*asked)

        assert not scene.in_memory
        assert not other.in_memory
    assert sum(verdict.allowed for verdict in verdicts) == 20


async def test_another_prefix_is_another_count(redis_url: str, prefix: str, scene: Scene) -> None:
    async with opened(redis_url, f"{prefix}:other") as other:
        assert await scene.allowed("key", 1, 1) == 1
        assert await other.allowed("key", 1, 1) == 1


async def test_asking_whether_a_limit_is_exhausted_counts_nothing(scene: Scene) -> None:
    before = [await scene.limiter.standing("key", 2) for _ in range(5)]

    assert await scene.allowed("key", 2, 2) == 2
    assert before == [(True, 2, 2, 0.0)] * 5
    exhausted = await scene.limiter.standing("key", 2)
    assert (exhausted.allowed, exhausted.remaining) == (False, 0)
    assert 50 < exhausted.reset_s <= 60
    assert (await scene.limiter.standing("key", 3)).remaining == 1


async def test_what_has_happened_already_counts_beyond_the_limit_too(scene: Scene) -> None:
    await scene.limiter.count("key", 20)

    standing = await scene.limiter.standing("key", 10)
    assert not standing.allowed
    assert 80 < standing.reset_s <= 90  # the minute, and then until half of it is forgotten


async def test_a_minute_later_what_was_counted_goes_bit_by_bit(redis_url: str, prefix: str, scene: Scene) -> None:
    assert await scene.allowed("key", 10, 10) == 10
    async with Redis.from_url(redis_url) as redis:
        (key,) = await redis.keys(f"{prefix}:*")
        await redis.pexpire(key, 45_500)  # as if the minute had ended 14.5 seconds ago

    verdict = await scene.limiter.hit("key", 10)

    assert (verdict.allowed, verdict.remaining) == (True, 2)
    assert 0 < verdict.reset_s < 6


async def test_redis_forgets_by_itself(redis_url: str, prefix: str, scene: Scene) -> None:
    await scene.limiter.hit("key", 10)

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


async def test_any_string_is_a_key_of_its_own(redis_url: str, prefix: str, scene: Scene) -> None:
    for key in ODD:
        assert await scene.allowed(key, 1, 2) == 1

    async with Redis.from_url(redis_url) as redis:
        kept = await redis.keys(f"{prefix}:*")
    assert not scene.in_memory
    assert len(kept) == len(ODD)
    assert all(len(key) < 128 for key in kept)


@pytest.mark.parametrize("fault", ["black hole", "refuse"])
async def test_without_redis_a_process_counts_by_itself_at_once_and_goes_on_from_what_it_had_allowed(
    redis_url: str, prefix: str, fault: Mode
) -> None:
    await avoid_end_of_minute()
    async with proxied(redis_url) as proxy, opened(proxy.url(), prefix) as scene:
        assert await scene.allowed("key", 5, 2) == 2

        proxy.become(fault)
        started = time.monotonic()
        allowed = await scene.allowed("key", 5, 50)
        took_s = time.monotonic() - started

        assert (allowed, scene.in_memory) == (3, True)
        assert not (await scene.limiter.standing("key", 5)).allowed
        assert took_s < WAIT_LIMIT_S


async def test_away_and_back_are_told_once_each_and_redis_counts_again(redis_url: str, prefix: str) -> None:
    async with proxied(redis_url) as proxy, opened(proxy.url(), prefix) as scene:
        with structlog.testing.capture_logs() as logs:
            proxy.become("refuse")
            await asyncio.gather(*(scene.limiter.hit("key", 100) for _ in range(10)))
            await scene.allowed("key", 100, 10)
            proxy.become("ok")
            async with asyncio.timeout(RETRY_S * 10):
                while scene.in_memory:
                    await asyncio.gather(*(scene.limiter.hit("key", 100) for _ in range(10)))
                    await asyncio.sleep(0.05)

        told = [entry for entry in logs if "Redis is" in entry["event"]]
        assert [entry["log_level"] for entry in told] == ["error", "info"]
        assert all(entry["address"] == f"127.0.0.1:{proxy.port}" for entry in told)
        async with opened(redis_url, prefix) as other:
            assert await scene.allowed("another", 1, 1) == 1
            assert await other.allowed("another", 1, 1) == 0


async def test_a_redis_that_is_slow_is_waited_for_by_one_request_a_second(redis_url: str, prefix: str) -> None:
    async with proxied(redis_url) as proxy, opened(proxy.url(), prefix) as scene:
        proxy.become("black hole")
        await scene.limiter.hit("key", 1000)
        waits = []
        end = time.monotonic() + 2.5 * RETRY_S
        while time.monotonic() < end:
            started = time.monotonic()
            await scene.limiter.hit("key", 1000)
            waits.append(time.monotonic() - started)
            await asyncio.sleep(0.01)

        assert sum(wait > 0.1 for wait in waits) <= 4
        assert max(waits) < WAIT_LIMIT_S


async def test_a_request_that_is_given_up_while_it_tries_redis_does_not_end_the_trying(
    redis_url: str, prefix: str
) -> None:
    async with proxied(redis_url) as proxy, opened(proxy.url(), prefix) as scene:
        proxy.become("black hole")
        await scene.limiter.hit("key", 1000)
        await asyncio.sleep(RETRY_S)
        probe = asyncio.create_task(scene.limiter.hit("key", 1000))
        await asyncio.sleep(0.01)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)

        proxy.become("ok")
        async with asyncio.timeout(RETRY_S * 10):
            while scene.in_memory:
                await scene.limiter.hit("key", 1000)
                await asyncio.sleep(0.05)


async def test_a_redis_that_has_forgotten_the_scripts_is_taught_them_again(redis_url: str, scene: Scene) -> None:
    assert await scene.allowed("key", 2, 1) == 1

    async with Redis.from_url(redis_url) as redis:
        await redis.script_flush()

    assert await scene.allowed("key", 2, 2) == 1
    assert not scene.in_memory
