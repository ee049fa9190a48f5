"""Count failures per key and minute, without a call to Redis for keys that have not failed."""

from collections.abc import Callable
from typing import Final

from shared.runtime.process.recent_keys import RecentKeys
from shared.runtime.redis.rate_limit import RateLimiter
from shared.runtime.redis.rate_window import WINDOW_S, Verdict

MAX_KEYS: Final = 10_000
"""Keys whose failures a process remembers."""


class FailureLimit:
    """At most `limit` failures per minute and key, counted by all processes together under keys that start with `name`.

    A key without a recent failure at this process is not looked up in Redis. Its first failure is counted together with
    those at other processes. `clock` times what the process remembers.
    """

    def __init__(self, limiter: RateLimiter, name: str, limit: int, *, clock: Callable[[], float]) -> None:
        self._limiter = limiter
        self._name = name
        self._limit = limit
        self._failed_here = RecentKeys(MAX_KEYS, 2 * WINDOW_S, clock)

    async def find_excess(self, key: str) -> Verdict | None:
        """Return the verdict on a key that has reached the limit, otherwise `None`. Count nothing."""
        if key not in self._failed_here:
            return None
        verdict = await self._limiter.peek(f"{self._name}:{key}", self._limit)
        return None if verdict.is_allowed else verdict

    async def record(self, key: str) -> Verdict | None:
        """Count a failure. Return the verdict if it is beyond the limit, otherwise `None`."""
        self._failed_here.add(key)
        verdict = await self._limiter.hit(f"{self._name}:{key}", self._limit)
        return None if verdict.is_allowed else verdict
