"""`python -m bench.light_guards`: run many guards in one process until SIGTERM, and report what they do every second.

Each guard has the follower, cache and lease of a real one, and a connection of its own to the authority. They share
one subscription at Redis, and each push is verified once for all of them: on one machine, a thousand verifications per
push would take the processor time that is to be measured at the authority. HTTP is written by hand for the same reason.
"""

import asyncio
import secrets
import signal
import sys
import time
from contextlib import AsyncExitStack
from typing import Final

import msgspec
import uvloop
from aiohttp import encode_basic_auth
from prometheus_client import CollectorRegistry

from bench.load import Connection
from shared.contract.introspection import Grant
from shared.contract.redis_names import CHANGES_CHANNEL
from shared.contract.restoration import ChangesReport
from shared.contract.sync import SyncAnswer, SyncRequest
from shared.guard.errors import GuardUnavailable
from shared.guard.follower import Follower, SyncPace
from shared.guard.guard import Guard
from shared.guard.keys import KeyRing
from shared.guard.lease import Lease
from shared.guard.metrics import GuardMetrics
from shared.guard.usage import Usage
from shared.runtime.process.clock import elapsed_s
from shared.runtime.process.outage import Outage
from shared.runtime.redis.client import redis_client
from shared.runtime.redis.subscription import Subscription

HOST: Final = "127.0.0.1"
CLIENT_ID: Final = "polls"
REPORT_EVERY_S: Final = 1.0


class GuardsOrder(msgspec.Struct, frozen=True):
    """How many guards to run, and where."""

    guards: int
    port: int
    client_secret: str
    redis_url: str


class GuardsReport(msgspec.Struct, frozen=True):
    """The state at a time: the counts since the start, and how many guards hold a lease."""

    at: float
    syncs: int
    failed: int
    pushes: int
    held: int


class Counts:
    """What the guards have done so far."""

    def __init__(self) -> None:
        self.syncs = self.failed = self.pushes = 0


class RawAuthority:
    """The calls of one guard to the authority, on one keep-alive connection."""

    def __init__(self, order: GuardsOrder, counts: Counts) -> None:
        self._order = order
        self._counts = counts
        self._authorization = encode_basic_auth(CLIENT_ID, order.client_secret)
        self._connection: Connection | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def sync(self, guard_id: str, request: SyncRequest) -> SyncAnswer:
        """Sync. Raise `GuardUnavailable`."""
        body = await self._call("POST", f"/v1/guards/{guard_id}/sync", msgspec.json.encode(request))
        self._counts.syncs += 1
        return msgspec.json.decode(body, type=SyncAnswer)

    async def report(self, guard_id: str, report: ChangesReport) -> None:
        """Report applied changes. Raise `GuardUnavailable`."""
        await self._call("POST", f"/v1/guards/{guard_id}/changes", msgspec.json.encode(report))

    async def release(self, guard_id: str) -> None:
        """Give the lease back. Raise `GuardUnavailable`."""
        await self._call("DELETE", f"/v1/guards/{guard_id}")

    async def signing_keys(self) -> bytes:
        """Return the keys that sign pushes."""
        return await self._call("GET", "/.well-known/jwks.json")

    async def _call(self, method: str, path: str, body: bytes = b"") -> bytes:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {self._authorization}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        is_complete = False
        try:
            if self._connection is None:
                reader, self._writer = await asyncio.open_connection(HOST, self._order.port)
                self._connection = Connection(reader, self._writer)
            response = await self._connection.send(head.encode() + body)
            is_complete = True
        except (OSError, EOFError, TimeoutError) as error:
            raise GuardUnavailable(f"{type(error).__name__} at {HOST}:{self._order.port}") from None
        finally:
            if not is_complete:
                self._counts.failed += 1
                self._drop_connection()
        if response.status not in (200, 204):
            self._counts.failed += 1
            raise GuardUnavailable(f"status {response.status}")
        return response.body

    def _drop_connection(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._connection = self._writer = None


class LightGuards:
    """The guards of this process, and their common subscription."""

    def __init__(self, order: GuardsOrder) -> None:
        self._counts = Counts()
        metrics = GuardMetrics(CollectorRegistry())
        self._leases = [Lease(elapsed_s) for _ in range(order.guards)]
        self._followers = [self._follower(order, lease, metrics) for lease in self._leases]
        self._keys = KeyRing(RawAuthority(order, self._counts).signing_keys, elapsed_s)

    def _follower(self, order: GuardsOrder, lease: Lease, metrics: GuardMetrics) -> Follower:
        guard = Guard(_introspect_nothing, lease, metrics, clock=elapsed_s)
        return Follower(
            guard,
            lease,
            Usage(elapsed_s),
            RawAuthority(order, self._counts),
            metrics,
            guard_id=secrets.token_hex(16),
            clock=elapsed_s,
            pace=SyncPace(),
        )

    async def on_subscribed(self) -> None:
        """Sync all guards, and fetch the keys."""
        await self._keys.refresh()
        for follower in self._followers:
            follower.request_sync()

    async def on_message(self, push: bytes) -> None:
        """Apply a push at each guard."""
        claims = await self._keys.verify(push)
        self._counts.pushes += 1
        for follower in self._followers:
            follower.apply_push(claims.events.changes.changes)

    def report(self) -> GuardsReport:
        """Return the state now."""
        held = sum(lease.is_held for lease in self._leases)
        return GuardsReport(time.time(), self._counts.syncs, self._counts.failed, self._counts.pushes, held)

    async def run(self) -> None:
        """Follow the change log until cancelled."""
        async with asyncio.TaskGroup() as running:
            for follower in self._followers:
                running.create_task(follower.run())

    async def stop(self) -> None:
        """Give all leases back."""
        await asyncio.gather(*(follower.stop() for follower in self._followers))


async def _introspect_nothing(_token: str) -> Grant | None:
    return None


async def run_guards(order: GuardsOrder) -> None:
    """Run the guards until SIGTERM, and print a report every second."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    guards = LightGuards(order)
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_client(order.redis_url))
        subscription = Subscription(
            redis,
            CHANGES_CHANNEL,
            Outage("Redis lost", "Redis restored", address=redis.address),
            on_subscribed=guards.on_subscribed,
            on_message=guards.on_message,
        )
        tasks = [asyncio.create_task(subscription.run()), asyncio.create_task(guards.run())]
        while not stop.is_set():
            print(msgspec.json.encode(guards.report()).decode(), flush=True)
            done, _ = await asyncio.wait([*tasks, asyncio.create_task(stop.wait())], timeout=REPORT_EVERY_S)
            for task in done & {*tasks}:
                task.result()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await guards.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_guards(msgspec.json.decode(sys.argv[1], type=GuardsOrder)))
