"""Counts how often something happens in a minute, over Redis for all processes together.

While Redis is away, refuses or is slow, this process counts in its own memory: a limit then holds for each process. It
is limits' sliding window counter: within a percent or so of an exact log of times, in two numbers a key instead of one
an event, decided and counted in one call that other processes cannot get between; a second one reads what is left.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, TypeVar

from limits.aio.storage import RedisStorage
from prometheus_client import CollectorRegistry, Counter, Gauge
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from shared.runtime.process.clock import elapsed_s
from shared.runtime.process.outage import Outage
from shared.runtime.redis.client import REDIS_LIMIT_S, redis_address_of
from shared.runtime.redis.rate_window import WINDOW_S, Window, WindowMemory

ANSWER_LIMIT_S: Final = 0.2
"""How long a request waits for Redis at most, once it is its turn."""
TURN_LIMIT_S: Final = 0.5
"""And for that; where Redis fails meanwhile, those that wait for their turn go on at once."""
PAUSE_S: Final = 1.0
"""After a failure, until one request tries Redis again; the others do not wait for it."""
MAX_CONNECTIONS: Final = 4
"""Calls at once: enough for what a process can take in, and few to be opened when many requests come first."""
MAX_KEYS: Final = 50_000
"""What this process remembers by itself, a few hundred bytes each."""

_REDIS_LOST: Final = (
    "Redis is away: each process counts requests by itself, so a limit holds for each of them instead of for all "
    "together; start Redis, or correct REDIS_URL or the rights of its user"
)
_REDIS_RESTORED: Final = "Redis is back: limits hold for all processes together again"
_NO_LIMIT: Final = 10**9

T = TypeVar("T")


class Verdict(NamedTuple):
    """Whether it may happen; how often it still may, and in how many seconds more often than that."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: float


class RateLimitMetrics:
    """One a limiter, in the registry that its process shows under `/metrics`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        decisions = Counter(
            "pollgate_rate_limit_decisions",
            "What was counted against a limit: allowed, or refused",
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
    """Made by `rate_limiter`. A key may be any string, and is its own whichever limit it is held against."""

    def __init__(
        self, counts: RedisStorage, redis_address: str, metrics: RateLimitMetrics, *, clock: Callable[[], float]
    ) -> None:
        self._counts = counts
        self._metrics = metrics
        self._clock = clock
        self._memory = WindowMemory(MAX_KEYS, clock)
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS)
        self._outage = Outage(_REDIS_LOST, _REDIS_RESTORED, address=redis_address)
        self._retry_at = 0.0

    async def hit(self, key: str, limit_a_minute: int, cost: int = 1) -> Verdict:
        """Count `cost` against the limit, unless it goes beyond; what is refused is not counted."""
        key = _safe(key)
        verdict = await self._ask(lambda: self._hit_in_redis(key, limit_a_minute, cost))
        if verdict is None:
            verdict = self._hit_in_memory(key, limit_a_minute, cost)
        elif verdict.allowed:
            self._memory.add(key, cost)  # so that Redis going away gives nobody a second allowance here
        (self._metrics.allowed if verdict.allowed else self._metrics.refused).inc()
        return verdict

    async def standing(self, key: str, limit_a_minute: int) -> Verdict:
        """Whether a `hit` would be allowed, and if not, in how many seconds one will be; nothing is counted."""
        key = _safe(key)
        window = await self._ask(lambda: self._read_redis(key)) or self._memory.read(key)
        remaining = max(0, limit_a_minute - window.used)
        return Verdict(remaining > 0, limit_a_minute, remaining, window.wait_s(limit_a_minute))

    async def count(self, key: str, cost: int) -> None:
        """Count what has happened already, also beyond any limit."""
        await self.hit(key, _NO_LIMIT, cost)

    async def _ask(self, question: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """What Redis answers in time; `None` where it does not, or did not a moment ago."""
        probing = self._outage.is_ongoing
        if probing:
            now = self._clock()
            if now < self._retry_at:
                return None
            self._retry_at = now + PAUSE_S
        try:
            async with self._turn():
                if self._outage.is_ongoing and not probing:
                    return None
                answer = await _in_time(question())
        except (RedisError, OSError, TimeoutError, RuntimeError) as error:
            # uvloop raises RuntimeError for a connection that has been closed under it.
            self._note_away(error)
            return None
        if probing:
            self._note_back()
        return answer

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None, None]:
        async with asyncio.timeout(TURN_LIMIT_S):
            await self._turns.acquire()
        try:
            yield
        finally:
            self._turns.release()

    async def _hit_in_redis(self, key: str, limit: int, cost: int) -> Verdict:
        allowed = await self._counts.acquire_sliding_window_entry(key, limit, WINDOW_S, cost)
        return _verdict(await self._read_redis(key), limit, allowed=allowed)

    async def _read_redis(self, key: str) -> Window:
        previous, _, current, expires_in_s = await self._counts.get_sliding_window(key, WINDOW_S)
        return Window(previous, current, max(0.0, expires_in_s - WINDOW_S))

    def _hit_in_memory(self, key: str, limit: int, cost: int) -> Verdict:
        window = self._memory.read(key)
        allowed = window.used + cost <= limit
        return _verdict(self._memory.add(key, cost) if allowed else window, limit, allowed=allowed)

    def _note_away(self, error: Exception) -> None:
        self._retry_at = self._clock() + PAUSE_S
        self._metrics.in_memory.set(1)
        self._outage.begin(error)

    def _note_back(self) -> None:
        self._metrics.in_memory.set(0)
        self._outage.end()


@asynccontextmanager
async def rate_limiter(url: str, key_prefix: str, registry: CollectorRegistry) -> AsyncGenerator[RateLimiter, None]:
    """A limiter whose keys in Redis start with `key_prefix` and a colon, with its connections, closed at the end.

    Connects when first used. Its Redis user needs the rights `~<key_prefix>:*` and `RATE_LIMIT_COMMANDS`.
    Raises `SettingsError` for what cannot be read as a URL.
    """
    address = redis_address_of(url)
    pool = ConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        socket_timeout=REDIS_LIMIT_S,
        socket_connect_timeout=REDIS_LIMIT_S,
        retry=Retry(NoBackoff(), 0),
    )
    # The URL is for the pool alone: limits repeats it in its errors.
    counts = RedisStorage(
        "redis://",
        implementation="redispy",
        key_prefix=key_prefix,
        connection_pool=pool,  # type: ignore[arg-type]
    )
    try:
        yield RateLimiter(counts, address, RateLimitMetrics(registry), clock=elapsed_s)
    finally:
        await pool.aclose()


RATE_LIMIT_COMMANDS: Final = "+evalsha +script|load +exists +get +incrby +pttl +rename +set"
"""What a Redis user has to be allowed on the keys: limits' two scripts, and what these call."""


_PATIENCE: Final = 4


async def _in_time(question: Coroutine[Any, Any, T]) -> T:
    """What Redis answers. Raises `TimeoutError` where it has not in `ANSWER_LIMIT_S`.

    That is waited for in parts: when this process itself has been held up, one part is over, and not all of the time.
    """
    asked = asyncio.create_task(question)
    try:
        for _ in range(_PATIENCE):
            await asyncio.wait({asked}, timeout=ANSWER_LIMIT_S / _PATIENCE)
            if asked.done():
                return asked.result()
        raise TimeoutError
    finally:
        if not asked.done():
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)  # the connection is given back before the turn is


def _verdict(window: Window, limit: int, *, allowed: bool) -> Verdict:
    remaining = max(0, limit - window.used) if allowed else 0
    return Verdict(allowed, limit, remaining, window.reset_s)


_PLAIN: Final = re.compile(r"[0-9A-Za-z_.:-]{1,64}")


def _safe(key: str) -> str:
    """The key where it is short and plain, else a hash of it that no plain key is spelled like."""
    if _PLAIN.fullmatch(key):
        return key
    return f"#{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"
