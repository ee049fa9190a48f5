"""The two kinds of simulated processes, which run the real code: an authority's operations, and a guard."""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from prometheus_client import CollectorRegistry

from services.token_authority.domain.change_log import LoggedChange
from services.token_authority.domain.lease import GuardKey
from services.token_authority.domain.service import Service
from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.operations.introspection import Introspector
from services.token_authority.operations.revocation import Revoker
from services.token_authority.storage import guards
from services.token_authority.tasks.confirmations import Confirmations
from services.token_authority.tasks.receipts import Receipts
from services.token_authority.tasks.restoration import RestorationWatch
from services.token_authority.tasks.retention import Retention
from services.token_authority.tasks.sync import Syncs
from shared.contract.introspection import Grant
from shared.contract.restoration import ChangesReport
from shared.contract.sync import SyncAnswer, SyncRequest
from shared.guard.follower import Follower, SyncPace
from shared.guard.guard import Guard
from shared.guard.lease import Lease
from shared.guard.metrics import GuardMetrics
from shared.guard.usage import Usage
from shared.runtime.postgres.database import DatabaseUnavailable
from tests.simulation.database import Database, Server
from tests.simulation.loop import Node
from tests.simulation.network import Link

FOREVER: Final = float("inf")
SECRET: Final = bytes(32)
SERVICE: Final = Service(client_id="polls", created_at=datetime.now(UTC), created_by="system")
Clock = Callable[[], float]


class AuthorityNode:
    """A process of the authority. It pushes what it commits by `relay`."""

    def __init__(self, name: str, server: Server, lease_ms: int, clock: Clock, relay: "Relay") -> None:
        self.node = Node(name)
        database: Any = Database(server)
        self._database = database
        receipts = Receipts([SECRET])
        self.watch = RestorationWatch(database, receipts, AUTHORITY_METRICS, clock=clock)
        own_relay: Any = OwnRelay(relay, self.watch)
        self.confirmations = Confirmations(database, self.watch, AUTHORITY_METRICS, clock=clock)
        self.revoker = Revoker(database, own_relay, self.watch, clock=clock)
        self.introspector = Introspector(database, own_relay, self.watch)
        self.syncs = Syncs(database, self.confirmations, receipts, self.watch, lease_ms=lease_ms, issuer="simulated")
        self.node.start(self.watch.run())
        self.node.start(self.confirmations.run())
        self.node.start(self.syncs.run())

    async def sync(self, guard_id: str, request: SyncRequest) -> SyncAnswer:
        """Sync a guard as the handler does."""
        return await self.syncs.sync(GuardKey("polls", guard_id), request)

    async def report(self, _guard_id: str, report: ChangesReport) -> None:
        """Store the report of a guard as the handler does."""
        await self.watch.store_report("polls", report.changes)

    async def release(self, guard_id: str) -> None:
        """Release a lease as the handler does."""
        await guards.release_lease(self._database, GuardKey("polls", guard_id))

    async def trim(self) -> None:
        """Trim the log as the background task does, but also young changes."""
        retention = Retention(self._database, changes_kept=timedelta(0))
        with suppress(DatabaseUnavailable):
            await retention.delete_old(datetime.now(UTC))

    async def introspect(self, token: str) -> Grant | None:
        """Introspect as the handler does."""
        (found,) = await self.introspector.introspect([token], SERVICE)
        if found is None:
            return None
        return Grant(found.token.id, found.secret.id, "site", "endpoint", (), FOREVER, found.as_of)


class OwnRelay:
    """The relay of one process."""

    def __init__(self, relay: "Relay", watch: RestorationWatch) -> None:
        self._relay = relay
        self._watch = watch

    def push(self, committed: Sequence[LoggedChange]) -> None:
        self._watch.remember(committed)
        self._relay.push(committed)


class Relay:
    """The relay and Redis: `push` publishes new changes; messages may be lost, repeated and reordered."""

    def __init__(self, publish: Callable[[], None]) -> None:
        self._publish = publish

    def push(self, _committed: Sequence[LoggedChange]) -> None:
        self._publish()


class GuardNode:
    """A guard's process, with one link per kind of traffic."""

    def __init__(self, name: str, clock: Clock, now: Clock, chance: random.Random, world: "Authorities") -> None:
        self.node = Node(name)
        self.introspections, self.syncs, self.pushes = Link(chance), Link(chance), Link(chance)
        self._world = world
        self.lease = Lease(clock)
        self.guard = Guard(self._introspect, self.lease, GUARD_METRICS, clock=clock, now=now)
        self.follower = Follower(
            self.guard,
            self.lease,
            Usage(clock),
            self,
            GUARD_METRICS,
            guard_id=name.replace(" ", "-"),
            clock=clock,
            pace=SyncPace(jitter=chance.random),
        )
        self.name = name
        self.applied = 0
        """What it has reported last."""
        self._following = self.node.start(self.follower.run())

    async def leave(self) -> None:
        """Shut down as on SIGTERM; the guard still answers requests."""
        self._following.cancel()
        await self.follower.stop()

    @property
    def links(self) -> tuple[Link, Link, Link]:
        return self.introspections, self.syncs, self.pushes

    async def sync(self, guard_id: str, request: SyncRequest) -> SyncAnswer:
        self.applied = request.applied or 0
        authority = self._world.any_authority()
        return await self.syncs.call(authority.node, lambda: authority.sync(guard_id, request))

    async def report(self, guard_id: str, report: ChangesReport) -> None:
        authority = self._world.any_authority()
        await self.syncs.call(authority.node, lambda: authority.report(guard_id, report))

    async def release(self, guard_id: str) -> None:
        authority = self._world.any_authority()
        await self.syncs.call(authority.node, lambda: authority.release(guard_id))

    async def _introspect(self, token: str) -> Grant | None:
        authority = self._world.any_authority()
        return await self.introspections.call(authority.node, lambda: authority.introspect(token))


class Authorities(Protocol):
    """The authorities that a guard can call."""

    def any_authority(self) -> AuthorityNode: ...


AUTHORITY_METRICS: Final = AuthorityMetrics(CollectorRegistry())
GUARD_METRICS: Final = GuardMetrics(CollectorRegistry())
