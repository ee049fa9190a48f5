"""Publish the change log on Redis, signed and in order, when a change commits and when Redis is available again.

A change that this process has committed is published first and marked in the database later, so that guards need not
wait for the database. A guard skips what it has applied, so a change may be published twice.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from services.token_authority.domain.change_log import LoggedChange
from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.storage import changes
from services.token_authority.tasks.receipts import Receipts
from services.token_authority.tasks.restoration import RestorationWatch
from services.token_authority.tasks.signing import Signer
from shared.contract.change import SET_AUDIENCE, SET_TYPE, Changes, PushClaims, PushedEvents
from shared.contract.redis_names import CHANGES_CHANNEL
from shared.runtime.postgres.database import Database, DatabaseUnavailable
from shared.runtime.process.outage import Outage
from shared.runtime.redis.client import RedisClient
from shared.runtime.redis.errors import RedisUnavailable

READ_EVERY_S: Final = 0.5
"""Between two reads of the log without a `wake()`: for changes of other processes and outages, and to mark some."""
BATCH: Final = 200
"""Changes per push, of about 200 bytes each."""


class ChangeRelay:
    """Publishes changes. Create one instance per process and supervise its `run()`.

    A lock lets one process at a time publish what others have committed, in `seq` order.
    """

    def __init__(
        self,
        database: Database,
        redis: RedisClient,
        signer: Signer,
        receipts: Receipts,
        watch: RestorationWatch,
        metrics: AuthorityMetrics,
        *,
        issuer: str,
    ) -> None:
        self._database = database
        self._redis = redis
        self._signer = signer
        self._receipts = receipts
        self._watch = watch
        self._metrics = metrics
        self._issuer = issuer
        self._awake = asyncio.Event()
        self._committed: list[LoggedChange] = []
        self._published: set[int] = set()
        """What is published and was not marked when the log was read last."""
        self._read_at = 0.0
        self._outage = Outage(
            "Redis unavailable: changes are not pushed and reach guards with their next sync; start Redis or correct "
            "REDIS_URL",
            "Redis available again: all changes are published",
            address=redis.address,
        )

    def push(self, committed: Sequence[LoggedChange]) -> None:
        """Publish changes at once: this process has just committed them."""
        if committed:
            self._watch.remember(committed)
            self._committed += committed
            self._awake.set()

    def wake(self) -> None:
        """Publish what is in the log now: a change was committed."""
        self._read_at = 0.0
        self._awake.set()

    async def ping(self) -> None:
        """Raise `RedisUnavailable` if Redis does not answer, or if it has refused the last push."""
        await self._redis.ping()
        if self._outage.reason:
            raise RedisUnavailable(self._outage.reason)

    async def run(self) -> None:
        """Publish changes until cancelled."""
        while True:
            try:
                await self._publish_committed()
                await self._publish_log()
            except RedisUnavailable as error:
                self._metrics.unpublished.set(1)
                self._outage.begin(error)
            except DatabaseUnavailable:
                pass  # the database has logged it
            await self._pause()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._read_at):
                await self._awake.wait()
        self._awake.clear()

    async def _publish_committed(self) -> None:
        committed, self._committed = sorted(self._committed, key=lambda each: each.seq), []
        for start in range(0, len(committed), BATCH):
            batch = committed[start : start + BATCH]
            await self._publish(batch)
            self._published.update(each.seq for each in batch)

    async def _publish_log(self) -> None:
        """Publish and mark what is in the log and not marked, every `READ_EVERY_S` or after `wake`."""
        now = asyncio.get_running_loop().time()
        if now < self._read_at:
            return
        self._read_at = now + READ_EVERY_S
        published, self._published = self._published, set()
        while await self._publish_batch(published) == BATCH:
            pass

    async def _publish_batch(self, published: Collection[int]) -> int:
        async with self._database.transaction() as transaction:
            if not await changes.try_lock_publishing(transaction):
                return 0
            batch = await changes.select_unpublished(transaction, BATCH)
            if not batch:
                self._note_published()  # another process may have published them
                return 0
            if new := [each for each in batch if each.seq not in published]:
                await self._publish(new)
            await changes.mark_published(transaction, [row.seq for row in batch])
        self._note_published()
        return len(batch)

    async def _publish(self, batch: Sequence[LoggedChange]) -> None:
        await self._redis.publish(CHANGES_CHANNEL, [self._sign(batch)])

    def _sign(self, batch: Sequence[LoggedChange]) -> str:
        claims = PushClaims(
            iss=self._issuer,
            aud=SET_AUDIENCE,
            iat=int(time.time()),
            jti=secrets.token_hex(16),
            toe_ms=int(batch[0].recorded_at.timestamp() * 1000),
            events=PushedEvents(Changes([self._receipts.with_receipt(row) for row in batch])),
        )
        return self._signer.sign(msgspec.to_builtins(claims), SET_TYPE)

    def _note_published(self) -> None:
        self._metrics.unpublished.set(0)
        self._outage.end()
