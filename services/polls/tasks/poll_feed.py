"""Announce changes of polls to all processes of the polls service over Redis, and call those who watch a poll.

An announcement says only that a poll has changed; the watcher reads the poll. Redis may lose announcements. Therefore a
watcher is also called whenever the subscription is confirmed, and after a few seconds without a call.
"""

import asyncio
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from itertools import islice
from typing import Final
from uuid import UUID

from shared.runtime.process.outage import Outage
from shared.runtime.redis.client import RedisClient
from shared.runtime.redis.errors import RedisUnavailable
from shared.runtime.redis.subscription import Subscription

POLLS_CHANNEL: Final = "pollgate:polls"
"""The Redis channel; each message is the id of one poll, a UUID in lower case (RFC 9562 §4)."""
MAX_SILENCE_S: Final = 3.0
"""The longest time between two calls of a watcher."""
PUBLISH_INTERVAL_S: Final = 0.1
"""Between two batches of announcements: a poll that changes more often is announced once in this time."""
MAX_PER_BATCH: Final = 500
MAX_UNPUBLISHED: Final = 10_000
"""Polls that wait to be announced. The change of a further poll is seen elsewhere after `MAX_SILENCE_S`."""

_SUBSCRIPTION_LOST: Final = (
    "Redis subscription lost: poll changes are delayed by up to 3 s; start Redis or correct REDIS_URL"
)
_SUBSCRIPTION_RESTORED: Final = "Redis subscription restored: poll changes arrive at once again"
_PUBLISHING_FAILS: Final = (
    "Redis does not accept messages: poll changes reach other replicas up to 3 s late; start Redis or correct REDIS_URL"
)
_PUBLISHING_WORKS: Final = "Redis accepts messages again: poll changes reach other replicas at once"


class PollFeed:
    """Publishes and receives announcements. Create one instance per process, and keep `run` and `publish` running."""

    def __init__(self, redis: RedisClient, *, max_silence_s: float = MAX_SILENCE_S) -> None:
        self._redis = redis
        self._max_silence_s = max_silence_s
        self._watchers: dict[bytes, set[_Watcher]] = {}
        self._unpublished: dict[bytes, None] = {}
        self._has_unpublished = asyncio.Event()
        self._publishing_outage = Outage(_PUBLISHING_FAILS, _PUBLISHING_WORKS, address=redis.address)
        self._subscription = Subscription(
            redis,
            POLLS_CHANNEL,
            Outage(_SUBSCRIPTION_LOST, _SUBSCRIPTION_RESTORED, address=redis.address),
            on_subscribed=self._call_all_watchers,
            on_message=self._receive,
        )

    @property
    def is_live(self) -> bool:
        """Whether announcements of other processes arrive at the moment."""
        return self._subscription.is_live

    @contextmanager
    def watch(self, poll_id: UUID, on_change: Callable[[], None]) -> Generator[None, None, None]:
        """Call `on_change` after each announcement of the poll, and after `max_silence_s` without one."""
        key, watcher = _key(poll_id), _Watcher(on_change, self._max_silence_s)
        self._watchers.setdefault(key, set()).add(watcher)
        try:
            yield
        finally:
            watcher.stop()
            self._watchers[key].discard(watcher)
            if not self._watchers[key]:
                del self._watchers[key]

    def announce(self, poll_id: UUID) -> None:
        """Announce a committed change of the poll. This neither waits nor fails, and delivery is not guaranteed."""
        key = _key(poll_id)
        if not self._subscription.is_live:
            self._call_watchers((key,))
        if len(self._unpublished) < MAX_UNPUBLISHED:
            self._unpublished[key] = None
        self._has_unpublished.set()

    async def run(self) -> None:
        """Receive announcements until cancelled."""
        await self._subscription.run()

    async def publish(self) -> None:
        """Publish announcements until cancelled."""
        while True:
            await self._has_unpublished.wait()
            self._has_unpublished.clear()
            while batch := self._take_batch():
                await self._publish_batch(batch)
                await asyncio.sleep(PUBLISH_INTERVAL_S)

    def _take_batch(self) -> list[bytes]:
        batch = list(islice(self._unpublished, MAX_PER_BATCH))
        for key in batch:
            del self._unpublished[key]
        return batch

    async def _publish_batch(self, batch: list[bytes]) -> None:
        try:
            await self._redis.publish(POLLS_CHANNEL, batch)
        except RedisUnavailable as error:
            self._call_watchers(batch)
            self._publishing_outage.begin(error)
        else:
            self._publishing_outage.end()

    async def _call_all_watchers(self) -> None:
        self._call_watchers(tuple(self._watchers))

    async def _receive(self, message: bytes) -> None:
        """Call the watchers of the poll. A message that is not the id of a poll has no watchers."""
        self._call_watchers((message,))

    def _call_watchers(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            for watcher in self._watchers.get(key, ()):
                watcher.call()


class _Watcher:
    """A callback that is called for announcements, and by a timer when it was not called for `max_silence_s`."""

    def __init__(self, on_change: Callable[[], None], max_silence_s: float) -> None:
        self._on_change = on_change
        self._max_silence_s = max_silence_s
        self._loop = asyncio.get_running_loop()
        self._called_at = self._loop.time()
        self._timer = self._loop.call_later(max_silence_s, self._call_if_silent)

    def call(self) -> None:
        self._called_at = self._loop.time()
        self._on_change()

    def stop(self) -> None:
        self._timer.cancel()

    def _call_if_silent(self) -> None:
        left_s = self._called_at + self._max_silence_s - self._loop.time()
        if left_s <= 0:
            self.call()
            left_s = self._max_silence_s
        self._timer = self._loop.call_later(left_s, self._call_if_silent)


def _key(poll_id: UUID) -> bytes:
    return str(poll_id).encode()
