"""Receive the authority's pushes over Redis and pass them to the follower.

Redis may lose messages without an error, so exactness does not depend on it. The follower syncs whenever a subscription
is confirmed, because messages before it may have been missed. A connection on which nothing arrives is replaced.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from shared.contract.redis_names import CHANGES_CHANNEL
from shared.guard.follower import Follower
from shared.guard.keys import InvalidPush, KeyRing
from shared.guard.metrics import GuardMetrics
from shared.runtime.process.outage import Outage
from shared.runtime.redis.client import RedisClient
from shared.runtime.redis.errors import RedisUnavailable
from shared.runtime.redis.subscription import Subscription

REPORT_EVERY_S: Final = 60.0
_REDIS_LOST: Final = (
    "Redis subscription lost: revocations arrive by sync only and are delayed by up to a fifth of the lease; start "
    "Redis or correct REDIS_URL"
)

_log = structlog.get_logger()


class ChangeFeed:
    """Receives pushes and passes their changes to the follower. Create one instance per process and await `run`.

    `now` is wall time, for the metric of the push delay.
    """

    def __init__(
        self,
        follower: Follower,
        keys: KeyRing,
        redis: RedisClient,
        metrics: GuardMetrics,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._follower = follower
        self._keys = keys
        self._redis_address = redis.address
        self._metrics = metrics
        self._now = now
        self._refusal_reported_at = float("-inf")
        self._outage = Outage(
            _REDIS_LOST, "Redis subscription restored: revocations arrive at once again", address=redis.address
        )
        self._subscription = Subscription(
            redis,
            CHANGES_CHANNEL,
            self._outage,
            on_subscribed=self._on_subscribed,
            on_message=self._on_message,
        )

    @property
    def is_live(self) -> bool:
        """Whether pushes arrive at the moment."""
        return self._subscription.is_live

    async def ping(self) -> None:
        """Raise `RedisUnavailable` if the subscription is not confirmed at the moment."""
        if not self.is_live:
            raise RedisUnavailable(
                self._outage.reason or f"the subscription to token changes at Redis at {self._redis_address} has begun"
            )

    async def run(self) -> None:
        """Receive pushes until cancelled."""
        await self._subscription.run()

    async def _on_subscribed(self) -> None:
        _log.info("Subscribed to token changes", redis=self._redis_address)
        self._follower.request_sync()
        await self._keys.refresh()  # so that the first push does not wait for the keys

    async def _on_message(self, push: bytes) -> None:
        try:
            claims = await self._keys.verify(push)
        except InvalidPush as error:
            self._record_refused(error)
        else:
            self._follower.apply_push(claims.events.changes.changes)
            self._metrics.push_delay_s.observe(max(0.0, self._now() - claims.toe_ms / 1000))

    def _record_refused(self, error: InvalidPush) -> None:
        self._metrics.pushes_refused.inc()
        now = asyncio.get_running_loop().time()
        if now - self._refusal_reported_at >= REPORT_EVERY_S:
            self._refusal_reported_at = now
            _log.warning(
                "Ignored a message on the Redis channel of changes: it is not signed by the token authority",
                redis=self._redis_address,
                error=str(error),
            )
