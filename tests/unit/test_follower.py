"""A guard follows the change log: pushes, gaps, syncs and the lease, with a clock and an authority of the test."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
import structlog
from prometheus_client import CollectorRegistry

from shared.contract.change import EPOCH_SIZE, Change
from shared.contract.introspection import Grant
from shared.contract.restoration import MAX_CHANGES_REPORTED, ChangesReport
from shared.contract.scope import Scope
from shared.contract.sync import MAX_UNCONFIRMED, SyncAnswer, SyncRequest
from shared.contract.token import digest, mint
from shared.guard.errors import AuthorityRestored, GuardUnavailable, TokenInvalid
from shared.guard.follower import Follower, SyncPace
from shared.guard.guard import Guard
from shared.guard.lease import Lease
from shared.guard.metrics import GuardMetrics
from shared.guard.usage import MAX_USES_PER_SYNC, Usage

LEASE_S: Final = 5.0
TOKEN: Final = mint("pgt")


def change(seq: int, token: str | None = None, kind: str = "changed") -> Change:
    return Change(seq, digest(token or f"token {seq}").hex(), kind)


class Log:
    """An authority with a change log. `reset_fields` are the fields by which its answers make a guard reset."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.requests: list[SyncRequest] = []
        self.released = False
        self.away = False
        self.restored = False
        self.first_seq = 1
        self.introspected_head: int | None = None
        self.reports: list[list[Change]] = []
        self.refuses_reports = False
        self.before_answer: Callable[[], None] = lambda: None
        self.introspections = 0
        self.reset_fields: tuple[str, ...] = ("resync", "afresh")

    @property
    def head(self) -> int:
        return self.first_seq - 1 + len(self.changes)

    async def sync(self, _guard_id: str, request: SyncRequest) -> SyncAnswer:
        self.requests.append(request)
        if self.away:
            raise GuardUnavailable("away")
        if self.restored:
            raise AuthorityRestored("restored")
        known = request.applied is not None and self.first_seq - 1 <= request.applied <= self.head
        missing = [each for each in self.changes if known and each.seq > (request.applied or 0)]
        resets: Any = dict.fromkeys(self.reset_fields, not known)
        answer = SyncAnswer(
            head=self.head,
            lease_ms=round(LEASE_S * 1000),
            changes=list(missing),
            issuer="issuer",
            last=self.changes[-1] if self.changes else None,
            **resets,
        )
        self.before_answer()
        return answer

    async def report(self, _guard_id: str, report: ChangesReport) -> None:
        self.reports.append(list(report.changes))
        if self.refuses_reports:
            raise GuardUnavailable("away")

    async def release(self, _guard_id: str) -> None:
        if self.away:
            raise GuardUnavailable("away")
        self.released = True

    async def introspect(self, token: str) -> Grant | None:
        self.introspections += 1
        as_of = self.head if self.introspected_head is None else self.introspected_head
        if change_of(token, self.changes):
            return None
        return Grant("tok_1", "sec_1", "site", "endpoint", (Scope.parse("polls:*:*"),), float("inf"), as_of)


def change_of(token: str, changes: list[Change]) -> bool:
    return any(each.digest == digest(token).hex() for each in changes)


class FollowerHarness:
    """A guard that follows a log; its follower runs within `running()`."""

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
    async def run(self) -> AsyncGenerator[None, None]:
        task = asyncio.create_task(self.follower.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def wait_until_settled(self) -> None:
        """Wait until the follower has confirmed the head of the log."""
        async with asyncio.timeout(5):
            while not (self.log.requests and self.log.requests[-1].applied == self.log.head):
                await asyncio.sleep(0)
        await self.run_pending_tasks()

    async def apply(self, changes: list[Change]) -> None:
        """Replace the log by these changes, push them, and wait until the follower has confirmed them."""
        await self.wait_until_settled()
        self.log.changes = changes
        self.follower.apply_push(changes)
        await self.wait_until_settled()

    async def run_pending_tasks(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def is_accepted(self) -> bool:
        try:
            await self.guard.check(TOKEN)
        except TokenInvalid:
            return False
        return True

    def read_metric(self, name: str) -> float | None:
        return self.registry.get_sample_value(name)


async def test_new_follower_starts_at_head_and_confirms_head_at_once() -> None:
    harness = FollowerHarness()
    harness.log.changes = [change(1), change(2)]

    async with harness.run():
        await harness.wait_until_settled()

    assert [request.applied for request in harness.log.requests] == [None, 2]
    assert harness.lease.is_held


async def test_push_of_next_change_is_applied_at_once_and_confirmed() -> None:
    harness = FollowerHarness()
    async with harness.run():
        await harness.wait_until_settled()
        assert await harness.is_accepted()

        harness.log.changes.append(change(1, TOKEN))
        harness.follower.apply_push(harness.log.changes)

        assert not await harness.is_accepted()
        await harness.wait_until_settled()


async def test_change_of_unknown_kind_drops_its_token() -> None:
    harness = FollowerHarness()
    async with harness.run():
        await harness.wait_until_settled()
        assert await harness.is_accepted()

        harness.log.changes.append(change(1, TOKEN, kind="something of a newer authority"))
        harness.follower.apply_push(harness.log.changes)

        assert not await harness.is_accepted()
        await harness.wait_until_settled()


async def test_push_after_a_gap_is_not_applied_and_next_sync_fills_the_gap() -> None:
    harness = FollowerHarness()
    async with harness.run():
        await harness.wait_until_settled()
        harness.log.changes = [change(1), change(2), change(3)]

        harness.follower.apply_push([change(3)])
        assert harness.read_metric("pollgate_guard_lag_changes") == 3

        await harness.wait_until_settled()
        assert harness.read_metric("pollgate_guard_lag_changes") == 0


@pytest.mark.parametrize("order", [[1, 1, 2], [2, 1, 2], [1, 2, 1, 2], [3, 2, 1]])
async def test_repeated_and_reordered_pushes_end_at_head(order: list[int]) -> None:
    harness = FollowerHarness()
    async with harness.run():
        await harness.wait_until_settled()
        assert await harness.is_accepted()
        harness.log.changes = [change(1), change(2, TOKEN), change(3)][: max(order)]

        for seq in order:
            harness.follower.apply_push([harness.log.changes[seq - 1]])
        await harness.wait_until_settled()

        assert not await harness.is_accepted()


async def test_push_of_applied_change_causes_no_sync() -> None:
    harness = FollowerHarness()
    harness.log.changes = [change(1)]
    async with harness.run():
        await harness.wait_until_settled()
        before = len(harness.log.requests)

        for _ in range(10):
            harness.follower.apply_push([change(1)])
            await harness.run_pending_tasks()

        assert len(harness.log.requests) == before


async def test_change_of_a_lost_push_arrives_with_requested_sync() -> None:
    harness = FollowerHarness()
    async with harness.run():
        await harness.wait_until_settled()
        assert await harness.is_accepted()
        harness.log.changes.append(change(1, TOKEN))

        harness.follower.request_sync()
        await harness.wait_until_settled()

        assert not await harness.is_accepted()


async def test_change_pushed_during_a_sync_stays_applied_after_the_answer() -> None:
    harness = FollowerHarness()
    async with harness.run():
        await harness.wait_until_settled()

        def push() -> None:
            harness.log.before_answer = lambda: None
            harness.log.changes.append(change(1))
            harness.follower.apply_push([change(1)])

        harness.log.before_answer = push
        harness.follower.request_sync()
        await harness.wait_until_settled()

        assert harness.log.requests[-1].applied == 1


async def test_lease_counts_from_when_sync_was_sent() -> None:
    harness = FollowerHarness()

    def take_long() -> None:
        harness.time += LEASE_S + 1

    harness.log.before_answer = take_long
    async with harness.run():
        await harness.run_pending_tasks()

    assert not harness.lease.is_held


@pytest.mark.parametrize(
    "fields", [("resync", "afresh"), ("afresh",), ("resync",)], ids=["this release", "previous release", "next release"]
)
async def test_guard_ahead_of_the_log_resets_for_an_authority_of_any_release(fields: tuple[str, ...]) -> None:
    harness = FollowerHarness()
    harness.log.reset_fields = fields
    harness.log.changes = [change(1), change(2)]
    async with harness.run():
        await harness.wait_until_settled()
        assert await harness.is_accepted()

        harness.log.changes = [change(1, TOKEN)]
        harness.follower.request_sync()
        await harness.wait_until_settled()

        assert not await harness.is_accepted()
        assert harness.read_metric("pollgate_guard_lag_changes") == 0


async def test_lost_and_renewed_lease_are_logged_once_each_and_measured() -> None:
    harness = FollowerHarness(first_interval_s=0.001, per_lease=LEASE_S / 0.001)
    with structlog.testing.capture_logs() as logs:
        async with harness.run():
            await harness.wait_until_settled()
            assert harness.read_metric("pollgate_guard_lease_held") == 1
            harness.log.away = True
            harness.time += LEASE_S + 10
            failures = harness.read_metric("pollgate_guard_sync_failures_total") or 0
            while (harness.read_metric("pollgate_guard_sync_failures_total") or 0) < failures + 5:
                await asyncio.sleep(0.001)
            assert harness.read_metric("pollgate_guard_lease_held") == 0
            harness.log.away = False
            while not harness.lease.is_held:
                await asyncio.sleep(0.001)
            await harness.run_pending_tasks()

    assert [(entry["log_level"], entry["guard_id"]) for entry in logs] == [
        ("info", "guard"),
        ("error", "guard"),
        ("info", "guard"),
    ]
    assert harness.read_metric("pollgate_guard_degraded_seconds_total") == pytest.approx(10.0)


async def test_failed_sync_is_retried_soon_even_with_a_long_lease() -> None:
    harness = FollowerHarness(per_lease=0.01, retry_s=0.001)
    async with harness.run():
        await harness.wait_until_settled()
        harness.log.away = True
        harness.log.changes.append(change(1))
        harness.follower.apply_push(harness.log.changes)
        await harness.run_pending_tasks()

        harness.log.away = False

        await harness.wait_until_settled()


async def test_uses_of_failed_sync_are_reported_again() -> None:
    harness = FollowerHarness()
    harness.usage.count("tok_1", "sec_1")
    harness.log.away = True
    async with harness.run():
        await harness.run_pending_tasks()
    harness.usage.count("tok_1", "sec_1")
    harness.time += 2
    harness.log.away = False

    async with harness.run():
        await harness.wait_until_settled()

    carried = [use for request in harness.log.requests for use in request.usage]
    assert [(use.token_id, use.uses, use.last_used_ms_ago) for use in carried] == [("tok_1", 1, 0), ("tok_1", 2, 2000)]


async def test_uses_beyond_limit_per_sync_are_reported_by_several_syncs() -> None:
    harness = FollowerHarness()
    for number in range(MAX_USES_PER_SYNC + 1):
        harness.usage.count(f"tok_{number}", f"sec_{number}")

    async with harness.run():
        await harness.wait_until_settled()

    assert [len(request.usage) for request in harness.log.requests] == [MAX_USES_PER_SYNC, 1]


async def test_sync_that_confirms_a_change_leaves_uses_to_the_next_regular_one() -> None:
    harness = FollowerHarness()
    async with harness.run():
        await harness.wait_until_settled()
        before = len(harness.log.requests)
        harness.usage.count("tok_1", "sec_1")
        harness.log.changes.append(change(1))
        harness.follower.apply_push([change(1)])
        await harness.wait_until_settled()
        confirming = harness.log.requests[before:]

        harness.time += LEASE_S / 5
        harness.follower.request_sync()
        await harness.run_pending_tasks()

    assert [(request.applied, len(request.usage)) for request in confirming] == [(1, 0)]
    assert [use.secret_id for use in harness.log.requests[-1].usage] == ["sec_1"]


async def test_stop_ends_use_of_cache_and_releases_lease() -> None:
    harness = FollowerHarness()
    async with harness.run():
        await harness.wait_until_settled()

    await harness.follower.stop()

    assert harness.log.released
    assert not harness.lease.is_held


async def test_stop_reports_last_uses_before_release_of_lease() -> None:
    harness = FollowerHarness()
    async with harness.run():
        await harness.wait_until_settled()
    for number in range(MAX_USES_PER_SYNC + 1):
        harness.usage.count(f"tok_{number}", f"sec_{number}")
    before = len(harness.log.requests)

    await harness.follower.stop()

    assert [len(request.usage) for request in harness.log.requests[before:]] == [MAX_USES_PER_SYNC, 1]
    assert harness.log.released
    assert not harness.lease.is_held


async def test_stop_succeeds_while_authority_is_unavailable() -> None:
    harness = FollowerHarness()
    harness.usage.count("tok_1", "sec_1")
    harness.log.away = True

    await harness.follower.stop()

    assert not harness.lease.is_held


def with_receipt(changed: Change) -> Change:
    return Change(changed.seq, changed.digest, receipt=f"receipt of {changed.seq}")


async def test_sync_sends_newest_applied_change_with_its_receipt() -> None:
    harness = FollowerHarness()
    harness.log.changes = [with_receipt(change(1))]
    async with harness.run():
        await harness.wait_until_settled()
        assert harness.log.requests[-1].last == with_receipt(change(1))

        harness.log.changes.append(with_receipt(change(2)))
        harness.follower.apply_push([with_receipt(change(2))])
        await harness.wait_until_settled()

    assert harness.log.requests[0].last is None
    assert harness.log.requests[-1].last == with_receipt(change(2))


async def test_sync_sends_no_more_unconfirmed_changes_than_the_authority_accepts() -> None:
    harness = FollowerHarness()
    async with harness.run():
        await harness.wait_until_settled()
        harness.log.changes = [with_receipt(change(seq)) for seq in range(1, MAX_UNCONFIRMED + 50)]

        harness.follower.apply_push(harness.log.changes)
        harness.log.before_answer = lambda: harness.follower.apply_push(harness.log.changes)
        await harness.wait_until_settled()

    sent = [len(request.unconfirmed) for request in harness.log.requests]
    assert 1 < max(sent) <= MAX_UNCONFIRMED
    assert harness.log.requests[-1].applied == MAX_UNCONFIRMED + 49


async def test_change_of_authority_without_receipts_is_applied_and_not_sent_back() -> None:
    harness = FollowerHarness()
    async with harness.run():
        await harness.wait_until_settled()
        harness.log.changes.append(change(1, TOKEN))
        harness.follower.apply_push([change(1, TOKEN)])
        await harness.wait_until_settled()

        assert not await harness.is_accepted()
    assert harness.log.requests[-1].last is None


async def test_restored_authority_gets_the_applied_changes_once() -> None:
    harness = FollowerHarness(first_interval_s=0.001, retry_s=0.001)
    async with harness.run():
        await harness.apply([with_receipt(change(seq)) for seq in range(1, MAX_CHANGES_REPORTED + 3)])

        harness.log.restored = True
        harness.follower.request_sync()
        failures = harness.read_metric("pollgate_guard_sync_failures_total") or 0
        while (harness.read_metric("pollgate_guard_sync_failures_total") or 0) < failures + 3:
            await asyncio.sleep(0.001)

    assert [len(report) for report in harness.log.reports] == [MAX_CHANGES_REPORTED, 2]
    assert [each for report in harness.log.reports for each in report] == harness.log.changes


async def test_changes_are_reported_again_if_the_database_is_restored_twice() -> None:
    harness = FollowerHarness(first_interval_s=0.001, retry_s=0.001)
    async with harness.run():
        await harness.apply([with_receipt(change(1))])

        harness.log.restored = True
        harness.follower.request_sync()
        async with asyncio.timeout(5):
            while not harness.log.reports:
                await asyncio.sleep(0.001)
            harness.log.away = True
            requests = len(harness.log.requests)
            while len(harness.log.requests) < requests + 2:
                await asyncio.sleep(0.001)
            harness.log.away = False
            while len(harness.log.reports) < 2:
                await asyncio.sleep(0.001)

    assert harness.log.reports == [[with_receipt(change(1))]] * 2


async def test_report_that_fails_is_sent_again() -> None:
    harness = FollowerHarness(first_interval_s=0.001, retry_s=0.001)
    async with harness.run():
        await harness.apply([with_receipt(change(1))])

        harness.log.restored = harness.log.refuses_reports = True
        harness.follower.request_sync()
        while len(harness.log.reports) < 2:
            await asyncio.sleep(0.001)
        harness.log.refuses_reports = False
        reports = len(harness.log.reports)
        while len(harness.log.reports) == reports:
            await asyncio.sleep(0.001)

    assert all(report == [with_receipt(change(1))] for report in harness.log.reports)


async def test_changes_of_an_earlier_epoch_are_not_reported_after_a_finished_restoration() -> None:
    harness = FollowerHarness(first_interval_s=0.001, retry_s=0.001)
    async with harness.run():
        await harness.apply([with_receipt(change(1, TOKEN))])

        harness.log.first_seq = EPOCH_SIZE
        harness.log.changes = [with_receipt(change(EPOCH_SIZE))]
        harness.follower.request_sync()
        await harness.wait_until_settled()
        harness.log.restored = True
        harness.follower.request_sync()
        while not harness.log.reports and not harness.read_metric("pollgate_guard_sync_failures_total"):
            await asyncio.sleep(0.001)
        await harness.run_pending_tasks()

    assert harness.log.reports == []
    assert harness.log.requests[-1].applied == EPOCH_SIZE


async def test_answer_older_than_the_applied_changes_is_not_used_and_causes_a_sync() -> None:
    harness = FollowerHarness()
    harness.log.changes = [change(1), change(2)]
    async with harness.run():
        await harness.wait_until_settled()
        before = len(harness.log.requests)
        harness.log.introspected_head = 1

        with pytest.raises(GuardUnavailable, match="went back"):
            await harness.guard.check(TOKEN)
        await harness.run_pending_tasks()

        assert len(harness.log.requests) == before + 1
        harness.log.introspected_head = None
        assert await harness.is_accepted()
