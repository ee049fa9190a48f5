"""Limit how often something may happen per minute, counted in Redis for all processes together.

While Redis is away, refuses commands or is slow, this process counts in its own memory, so a limit then holds for each
process. What Redis allows is counted in memory too, so that an outage gives no second allowance here.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, cast

from limits.aio.storage import RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from prometheus_client import CollectorRegistry, Counter, Gauge

from shared.runtime.process.clock import elapsed_s
from shared.runtime.process.outage import Outage
from shared.runtime.redis.client import RedisClient
from shared.runtime.redis.errors import CALL_ERRORS
from shared.runtime.redis.rate_window import NO_LIMIT, BoundedMemory, SlidingWindow, Verdict

RESPONSE_LIMIT_S: Final = 0.2
"""How long a request waits for Redis, once it has a connection."""
CONNECTION_LIMIT_S: Final = 0.5
"""How long a request waits for a connection. If Redis fails meanwhile, the waiting requests go on at once."""
RETRY_S: Final = 1.0
"""Between two attempts to reach Redis again. One request makes the attempt; the others do not wait for it."""
MAX_CONNECTIONS: Final = 4
"""Enough for what one process handles, and few to open when many requests arrive first."""
MAX_KEYS: Final = 50_000
"""Keys that this process keeps in memory, a few hundred bytes each."""
MEMORY_PARTS: Final = 256

RATE_LIMIT_COMMANDS: Final = "+evalsha +script|load +exists +get +incrby +pttl +rename +set"
"""The rights that a Redis user needs on the keys: two scripts of `limits`, and the commands in them."""

_REDIS_LOST: Final = (
    "Redis is away: each process counts requests by itself, so a limit holds for each of them instead of for all "
    "together; start Redis, or correct REDIS_URL or the rights of its user"
)
_REDIS_RESTORED: Final = "Redis is back: limits hold for all processes together again"

T = TypeVar("T")


class RateLimitMetrics:
    """The metrics of one limiter. Create one instance per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        decisions = Counter(
            "pollgate_rate_limit_decisions",
            "Requests counted against a limit, by result: allowed or refused",
            ["result"],
            registry=registry,
        )
        self.allowed, self.refused = decisions.labels("allowed"), decisions.labels("refused")
        self.in_memory = Gauge(
            "pollgate_rate_limit_in_memory",
            "1 while Redis is away and each process counts by itself, else 0",
            registry=registry,
            multiprocess_mode="livemax",
        )


class RateLimiter:
    """Counts per key. A key may be any string; its count does not depend on the limit. Made by `rate_limiter`."""

    def __init__(
        self, window: SlidingWindow, redis: RedisClient, metrics: RateLimitMetrics, *, clock: Callable[[], float]
    ) -> None:
        self._client = redis
        self._window = window
        self._memory = BoundedMemory(MAX_KEYS, MEMORY_PARTS)
        self._metrics = metrics
        self._clock = clock
        self._connections = asyncio.Semaphore(MAX_CONNECTIONS)
        self._outage = Outage(_REDIS_LOST, _REDIS_RESTORED, address=redis.address)
        self._retry_at = 0.0

    async def hit(self, key: str, limit_per_minute: int, cost: int = 1) -> Verdict:
        """Count `cost` unless that would exceed the limit; what is refused is not counted."""
        key = _storage_key(key)
        verdict = await self._ask_redis(lambda: self._window.hit(key, limit_per_minute, cost))
        if verdict is None:
            verdict = await self._memory.hit(key, limit_per_minute, cost)
        elif verdict.is_allowed:
            await self._memory.count(key, cost)
        (self._metrics.allowed if verdict.is_allowed else self._metrics.refused).inc()
        return verdict

    async def peek(self, key: str, limit_per_minute: int) -> Verdict:
        """Return whether a `hit` would be allowed and, if not, in how many seconds one will be. Count nothing."""
        key = _storage_key(key)
        verdict = await self._ask_redis(lambda: self._window.peek(key, limit_per_minute))
        return verdict or await self._memory.peek(key, limit_per_minute)

    async def count(self, key: str, cost: int) -> None:
        """Count what has happened already, also beyond any limit."""
        await self.hit(key, NO_LIMIT, cost)

    async def _ask_redis(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """Return what Redis answers; `None` if it does not answer in time, or if it is known to be away."""
        is_retry = self._outage.is_ongoing
        if is_retry:
            now = self._clock()
            if now < self._retry_at:
                return None
            self._retry_at = now + RETRY_S
        try:
            async with self._connection():
                if self._outage.is_ongoing and not is_retry:
                    return None
                answer = await _limit_time(call())
        except CALL_ERRORS as error:
            self._note_lost(error)
            return None
        if is_retry:
            self._note_restored()
        return answer

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[None, None]:
        async with asyncio.timeout(CONNECTION_LIMIT_S):
            await self._connections.acquire()
        try:
            yield
        finally:
            self._connections.release()

    def _note_lost(self, error: Exception) -> None:
        self._retry_at = self._clock() + RETRY_S
        self._metrics.in_memory.set(1)
        self._outage.begin(self._client.explain(error))

    def _note_restored(self) -> None:
        self._metrics.in_memory.set(0)
        self._outage.end()


def rate_limiter(redis: RedisClient, key_prefix: str, registry: CollectorRegistry) -> RateLimiter:
    """Return a limiter whose keys in Redis start with `key_prefix` and a colon.

    Its Redis user needs the rights `~<key_prefix>:*` and `RATE_LIMIT_COMMANDS`. The keys of one count are on the same
    node of a cluster: `limits` puts what they share in braces.
    """
    window = SlidingWindow(_Storage(redis, key_prefix))
    return RateLimiter(window, redis, RateLimitMetrics(registry), clock=elapsed_s)


class _Storage(RedisStorage):
    """The storage of `limits` with the client of redis-py that exists already, of whichever kind."""

    def __init__(self, redis: RedisClient, key_prefix: str) -> None:
        self._client = redis.redis
        super().__init__("redis://", implementation="redispy", key_prefix=key_prefix)

    def configure_bridge(self) -> None:
        """Use the client. `limits` would make one, and repeat its URL in errors."""
        bridge = cast(RedispyBridge, self.bridge)
        bridge.storage = self._client
        bridge.connection_getter = lambda _readonly: cast(Any, self._client)


_WAITS: Final = 4
"""The parts of `RESPONSE_LIMIT_S`. If this process itself is suspended, one of them passes instead of all."""


async def _limit_time(call: Coroutine[Any, Any, T]) -> T:
    """Return the result of the call. Raise `TimeoutError` if it takes longer than `RESPONSE_LIMIT_S`."""
    task = asyncio.create_task(call)
    try:
        for _ in range(_WAITS):
            await asyncio.wait({task}, timeout=RESPONSE_LIMIT_S / _WAITS)
            if task.done():
                return task.result()
        raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)  # it holds a connection of the pool until then


_PLAIN: Final = re.compile(r"[0-9A-Za-z_.:-]{1,64}")


def _storage_key(key: str) -> str:
    """Return the key if it is short and plain, else a hash of it; `#` keeps the two apart."""
    if _PLAIN.fullmatch(key):
        return key
    return f"#{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"
