"""Wakes those who watch a poll when something of it has changed, in whichever process; what has, they see themselves.

Replicas tell each other over Redis, which may lose messages, so nothing rests on it: a watcher is also woken whenever a
subscription is confirmed, and every few seconds in which it was not.
"""

import asyncio
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from itertools import islice
from typing import Final
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.runtime.process.outage import Outage
from shared.runtime.redis.subscription import Subscription

POLLS_CHANNEL: Final = "pollgate:polls"
"""The Redis channel; each message is the id of one poll, a UUID in lower case (RFC 9562 §4)."""
LOOK_S: Final = 3.0
"""So long at most a watcher is left without being woken."""
GAP_S: Final = 0.1
"""Between two batches of announcements: a poll that changes all the time is announced so often and no more."""
BATCH: Final = 500
MAX_WAITING: Final = 10_000
"""Polls that wait to be announced; of one beyond these, watchers elsewhere learn when they look."""

_SUBSCRIPTION_LOST: Final = (
    "Redis subscription lost: poll changes are delayed by up to 3 s; start Redis or correct REDIS_URL"
)
_PUBLISHING_FAILS: Final = (
    "Redis does not take messages: poll changes reach other replicas up to 3 s late; start Redis or correct REDIS_URL"
)


class PollFeed:
    """One a process. `run` and `publish` are to run all the while."""

    def __init__(self, redis: Redis, redis_address: str, *, look_s: float = LOOK_S) -> None:
        self._redis = redis
        self._look_s = look_s
        self._watchers: dict[bytes, set[_Watcher]] = {}
        self._waiting: dict[bytes, None] = {}
        self._wanted = asyncio.Event()
        self._unpublished = Outage(
            _PUBLISHING_FAILS, "Changes of polls are published over Redis again", address=redis_address
        )
        self._subscription = Subscription(
            redis,
            POLLS_CHANNEL,
            Outage(
                _SUBSCRIPTION_LOST,
                "Redis subscription restored: poll changes arrive at once again",
                address=redis_address,
            ),
            on_subscribed=self._subscribed,
            on_message=self._received,
        )

    @property
    def is_live(self) -> bool:
        """Whether announcements of other processes arrive at the moment."""
        return self._subscription.is_live

    @contextmanager
    def watch(self, poll_id: UUID, wake: Callable[[], None]) -> Generator[None, None, None]:
        """Call `wake` at each announcement of the poll, and when there has been none for `look_s`."""
        key, watcher = _key(poll_id), _Watcher(wake, self._look_s)
        self._watchers.setdefault(key, set()).add(watcher)
        try:
            yield
        finally:
            watcher.stop()
            self._watchers[key].discard(watcher)
            if not self._watchers[key]:
                del self._watchers[key]

    def announce(self, poll_id: UUID) -> None:
        """The poll has changed, and the change is committed. Neither waits nor fails, and may not arrive."""
        key = _key(poll_id)
        if not self._subscription.is_live:
            self._wake((key,))
        if len(self._waiting) < MAX_WAITING:
            self._waiting[key] = None
        self._wanted.set()

    async def run(self) -> None:
        """Receive until cancelled."""
        await self._subscription.run()

    async def publish(self) -> None:
        """Publish what is announced until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while batch := self._take():
                await self._publish(batch)
                await asyncio.sleep(GAP_S)

    def _take(self) -> list[bytes]:
        batch = list(islice(self._waiting, BATCH))
        for key in batch:
            del self._waiting[key]
        return batch

    async def _publish(self, batch: list[bytes]) -> None:
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key in batch:
                    pipeline.publish(POLLS_CHANNEL, key)
                await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            self._wake(batch)
            self._unpublished.begin(error)
        else:
            self._unpublished.end()

    async def _subscribed(self) -> None:
        self._wake(tuple(self._watchers))

    async def _received(self, key: bytes) -> None:
        """What is no poll's id has no watchers."""
        self._wake((key,))

    def _wake(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            for watcher in self._watchers.get(key, ()):
                watcher.wake()


class _Watcher:
    """One who watches a poll: woken by announcements, and by itself after `look_s`."""

    def __init__(self, wake: Callable[[], None], look_s: float) -> None:
        self._wake = wake
        self._look_s = look_s
        self._loop = asyncio.get_running_loop()
        self._woken_at = self._loop.time()
        self._timer = self._loop.call_later(look_s, self._look)

    def wake(self) -> None:
        self._woken_at = self._loop.time()
        self._wake()

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        left_s = self._woken_at + self._look_s - self._loop.time()
        if left_s <= 0:
            self.wake()
            left_s = self._look_s
        self._timer = self._loop.call_later(left_s, self._look)


def _key(poll_id: UUID) -> bytes:
    return str(poll_id).encode()
