"""A guard's place in the change log: pushes, gaps, syncs and the lease, with clock and authority passed in."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest
import structlog
from prometheus_client import CollectorRegistry

from shared.contract.change import Change
from shared.contract.introspection import Grant
from shared.contract.scope import Scope
from shared.contract.sync import SyncAnswer, SyncRequest
from shared.contract.token import digest, mint
from shared.guard.errors import GuardUnavailable, TokenInvalid
from shared.guard.follower import Follower, SyncPace
from shared.guard.guard import Guard
from shared.guard.lease import Lease
from shared.guard.metrics import GuardMetrics
from shared.guard.usage import MAX_USES_PER_SYNC, Usage

LEASE_S: Final = 5.0
TOKEN: Final = mint("pgt")


def change(seq: int, token: str | None = None, kind: str = "revoked") -> Change:
    return Change(seq, kind, "tok_1", digest(token or f"token {seq}").hex())


class Log:
    """An authority: a change log, and how it answers syncs and introspections now."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.requests: list[SyncRequest] = []
        self.released = False
        self.away = False
        self.before_answer: Callable[[], None] = lambda: None
        self.introspections = 0
        self.reset_fields: tuple[str, ...] = ("resync", "afresh")

    @property
    def head(self) -> int:
        return len(self.changes)

    async def sync(self, _guard_id: str, request: SyncRequest) -> SyncAnswer:
        self.requests.append(request)
        if self.away:
            raise GuardUnavailable("away")
        known = request.applied is not None and request.applied <= self.head
        behind = self.changes[request.applied :] if known and request.applied is not None else []
        answer = SyncAnswer(
            head=self.head,
            lease_ms=round(LEASE_S * 1000),
            changes=list(behind),
            issuer="issuer",
            **dict.fromkeys(self.reset_fields, not known),
        )
        self.before_answer()
        return answer

    async def release(self, _guard_id: str) -> None:
        if self.away:
            raise GuardUnavailable("away")
        self.released = True

    async def introspect(self, token: str) -> Grant | None:
        self.introspections += 1
        if change_of(token, self.changes):
            return None
        return Grant("tok_1", "sec_1", "site", "endpoint", (Scope.parse("polls:*:*"),), float("inf"), self.head)


def change_of(token: str, changes: list[Change]) -> bool:
    return any(each.digest == digest(token).hex() for each in changes)


class Scene:
    """A guard that follows a log; its loop runs in `running()`."""

    def __init__(self, **pace: float) -> None:
        self.time = 1000.0
        self.log = Log()
        self.registry = CollectorRegistry()
        metrics = GuardMetrics(self.registry)
        self.lease, self.usage = Lease(lambda: self.time), Usage(lambda: self.time)
        self.guard = Guard(self.log.introspect, self.lease, metrics, clock=lambda: self.time)
        self.follower = Follower(
            self.guard,
            self.lease,
            self.usage,
            self.log,
            metrics,
            guard_id="guard",
            clock=lambda: self.time,
            pace=SyncPace(jitter=lambda: 0.5, **pace),
        )

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        task = asyncio.create_task(self.follower.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def settled(self) -> None:
        """Wait until the follower has confirmed the head of the log."""
        async with asyncio.timeout(5):
            while not (self.log.requests and self.log.requests[-1].applied == self.log.head):
                await asyncio.sleep(0)
        await self.rest()

    async def rest(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def works(self) -> bool:
        try:
            await self.guard.check(TOKEN)
        except TokenInvalid:
            return False
        return True

    def metric(self, name: str) -> float | None:
        return self.registry.get_sample_value(name)


async def test_it_starts_at_the_head_and_confirms_that_at_once() -> None:
    scene = Scene()
    scene.log.changes = [change(1), change(2)]

    async with scene.running():
        await scene.settled()

    assert [request.applied for request in scene.log.requests] == [None, 2]
    assert scene.lease.is_held


async def test_a_push_of_the_next_change_is_applied_at_once_and_confirmed() -> None:
    scene = Scene()
    async with scene.running():
        await scene.settled()
        assert await scene.works()

        scene.log.changes.append(change(1, TOKEN))
        scene.follower.apply_push(scene.log.changes)

        assert not await scene.works()
        await scene.settled()


async def test_a_token_is_forgotten_whatever_has_become_of_it() -> None:
    scene = Scene()
    async with scene.running():
        await scene.settled()
        assert await scene.works()

        scene.log.changes.append(change(1, TOKEN, kind="something of a newer authority"))
        scene.follower.apply_push(scene.log.changes)

        assert not await scene.works()
        await scene.settled()


async def test_after_a_gap_nothing_is_applied_and_a_sync_fills_it() -> None:
    scene = Scene()
    async with scene.running():
        await scene.settled()
        scene.log.changes = [change(1), change(2), change(3)]

        scene.follower.apply_push([change(3)])
        assert scene.metric("pollgate_guard_lag_changes") == 3

        await scene.settled()
        assert scene.metric("pollgate_guard_lag_changes") == 0


@pytest.mark.parametrize("order", [[1, 1, 2], [2, 1, 2], [1, 2, 1, 2], [3, 2, 1]])
async def test_repeats_and_reordering_end_at_the_head(order: list[int]) -> None:
    scene = Scene()
    async with scene.running():
        await scene.settled()
        assert await scene.works()
        scene.log.changes = [change(1), change(2, TOKEN), change(3)][: max(order)]

        for seq in order:
            scene.follower.apply_push([scene.log.changes[seq - 1]])
        await scene.settled()

        assert not await scene.works()


async def test_a_push_that_is_known_costs_no_sync() -> None:
    scene = Scene()
    scene.log.changes = [change(1)]
    async with scene.running():
        await scene.settled()
        before = len(scene.log.requests)

        for _ in range(10):
            scene.follower.apply_push([change(1)])
            await scene.rest()

        assert len(scene.log.requests) == before


async def test_a_lost_push_arrives_with_the_sync_that_a_new_subscription_asks_for() -> None:
    scene = Scene()
    async with scene.running():
        await scene.settled()
        assert await scene.works()
        scene.log.changes.append(change(1, TOKEN))

        scene.follower.request_sync()
        await scene.settled()

        assert not await scene.works()


async def test_a_change_pushed_while_a_sync_is_under_way_is_not_taken_back_by_its_answer() -> None:
    scene = Scene()
    async with scene.running():
        await scene.settled()

        def push() -> None:
            scene.log.before_answer = lambda: None
            scene.log.changes.append(change(1))
            scene.follower.apply_push([change(1)])

        scene.log.before_answer = push
        scene.follower.request_sync()
        await scene.settled()

        assert scene.log.requests[-1].applied == 1


async def test_the_lease_counts_from_when_the_sync_was_sent() -> None:
    scene = Scene()

    def take_long() -> None:
        scene.time += LEASE_S + 1

    scene.log.before_answer = take_long
    async with scene.running():
        await scene.rest()

    assert not scene.lease.is_held


@pytest.mark.parametrize(
    "fields", [("resync", "afresh"), ("afresh",), ("resync",)], ids=["this release", "previous release", "next release"]
)
async def test_guard_ahead_of_the_log_resets_for_an_authority_of_any_release(fields: tuple[str, ...]) -> None:
    scene = Scene()
    scene.log.reset_fields = fields
    scene.log.changes = [change(1), change(2)]
    async with scene.running():
        await scene.settled()
        assert await scene.works()

        scene.log.changes = [change(1, TOKEN)]
        scene.follower.request_sync()
        await scene.settled()

        assert not await scene.works()
        assert scene.metric("pollgate_guard_lag_changes") == 0


async def test_the_loss_of_the_lease_and_its_return_are_logged_once_each_and_counted() -> None:
    scene = Scene(first_interval_s=0.001, per_lease=LEASE_S / 0.001)
    with structlog.testing.capture_logs() as logs:
        async with scene.running():
            await scene.settled()
            assert scene.metric("pollgate_guard_lease_held") == 1
            scene.log.away = True
            scene.time += LEASE_S + 10
            failures = scene.metric("pollgate_guard_sync_failures_total") or 0
            while (scene.metric("pollgate_guard_sync_failures_total") or 0) < failures + 5:
                await asyncio.sleep(0.001)
            assert scene.metric("pollgate_guard_lease_held") == 0
            scene.log.away = False
            while not scene.lease.is_held:
                await asyncio.sleep(0.001)
            await scene.rest()

    assert [(entry["log_level"], entry["guard_id"]) for entry in logs] == [
        ("info", "guard"),
        ("error", "guard"),
        ("info", "guard"),
    ]
    assert scene.metric("pollgate_guard_degraded_seconds_total") == pytest.approx(10.0)


async def test_a_sync_that_failed_is_tried_again_soon_however_long_the_lease_is() -> None:
    scene = Scene(per_lease=0.01, retry_s=0.001)
    async with scene.running():
        await scene.settled()
        scene.log.away = True
        scene.log.changes.append(change(1))
        scene.follower.apply_push(scene.log.changes)
        await scene.rest()

        scene.log.away = False

        await scene.settled()


async def test_use_that_a_failed_sync_carried_is_carried_again() -> None:
    scene = Scene()
    scene.usage.count("tok_1", "sec_1")
    scene.log.away = True
    async with scene.running():
        await scene.rest()
    scene.usage.count("tok_1", "sec_1")
    scene.time += 2
    scene.log.away = False

    async with scene.running():
        await scene.settled()

    carried = [use for request in scene.log.requests for use in request.usage]
    assert [(use.token_id, use.uses, use.last_used_ms_ago) for use in carried] == [("tok_1", 1, 0), ("tok_1", 2, 2000)]


async def test_much_use_is_carried_by_several_syncs() -> None:
    scene = Scene()
    for number in range(MAX_USES_PER_SYNC + 1):
        scene.usage.count(f"tok_{number}", f"sec_{number}")

    async with scene.running():
        await scene.settled()

    assert [len(request.usage) for request in scene.log.requests] == [MAX_USES_PER_SYNC, 1]


async def test_at_the_end_the_cache_is_used_no_more_and_the_lease_is_given_back() -> None:
    scene = Scene()
    async with scene.running():
        await scene.settled()

    await scene.follower.stop()

    assert scene.log.released
    assert not scene.lease.is_held


async def test_at_the_end_the_last_uses_are_told_before_the_lease_is_given_back() -> None:
    scene = Scene()
    async with scene.running():
        await scene.settled()
    for number in range(MAX_USES_PER_SYNC + 1):
        scene.usage.count(f"tok_{number}", f"sec_{number}")
    before = len(scene.log.requests)

    await scene.follower.stop()

    assert [len(request.usage) for request in scene.log.requests[before:]] == [MAX_USES_PER_SYNC, 1]
    assert scene.log.released
    assert not scene.lease.is_held


async def test_an_authority_that_is_away_does_not_keep_the_guard_from_ending() -> None:
    scene = Scene()
    scene.usage.count("tok_1", "sec_1")
    scene.log.away = True

    await scene.follower.stop()

    assert not scene.lease.is_held
