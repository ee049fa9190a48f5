"""The repeated check of a stream's token, with every race arranged by the test."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from shared.contract.change import Change
from shared.contract.introspection import Grant
from shared.contract.scope import Action, Place, Scope
from shared.contract.token import digest, mint
from shared.guard import GuardUnavailable, InsufficientScope, TokenInvalid
from shared.guard.guard import Guard
from shared.guard.lease import Lease
from shared.guard.metrics import GuardMetrics
from shared.guard.token_watch import TokenWatch

TOKEN = mint("pgt")
PLACE = Place("PLAT", "PLAT-1")


def grant(scope: str = "polls:read:*", *, as_of: int = 0, expires_at_s: float = float("inf")) -> Grant:
    return Grant("tok_1", "sec_1", "site_1", "endpoint", (Scope.parse(scope),), expires_at_s, as_of)


def change(seq: int, token: str = TOKEN) -> Change:
    return Change(seq, digest(token).hex())


class WatchHarness:
    """A watched token and a guard with a lease. Its authority returns `answer` while `gate` is open."""

    def __init__(self) -> None:
        self.answer: Grant | None = grant()
        self.introspections = 0
        self.notified = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.time = 1000.0
        self.wall = 1_800_000_000.0
        self.lease = Lease(lambda: self.time)
        self.guard = Guard(
            self._introspect,
            self.lease,
            GuardMetrics(CollectorRegistry()),
            clock=lambda: self.time,
            now=lambda: self.wall,
        )
        self.lease.renew(self.time, 3600.0)
        self.watch = TokenWatch(self.guard, self.lease, TOKEN, check_grant=_check_grant, on_change=self._on_change)

    async def _introspect(self, _token: str) -> Grant | None:
        self.introspections += 1
        answer = self.answer
        await self.gate.wait()
        return answer

    def _on_change(self) -> None:
        self.notified += 1

    def change(self, seq: int, answer: Grant | None) -> None:
        """Change the authority's answer, and apply the change `seq` to the guard."""
        self.answer = answer
        self.guard.apply(change(seq))

    def start_check(self) -> "asyncio.Task[None]":
        """Start `ensure_valid`, and hold back the authority's answer."""
        self.gate.clear()
        return asyncio.create_task(self.watch.ensure_valid())

    async def wait_for_introspection(self, introspections: int) -> None:
        """Wait until the authority has received this many introspections."""
        async with asyncio.timeout(5):
            while self.introspections < introspections:
                await asyncio.sleep(0)


def _check_grant(grant: Grant) -> None:
    if not grant.covers(Action.READ, PLACE):
        raise InsufficientScope(Action.READ, PLACE.path)


def returns_at_once(harness: WatchHarness) -> bool:
    """Return whether `ensure_valid` returns without awaiting anything."""
    try:
        harness.watch.ensure_valid().send(None)
    except StopIteration:
        return True
    return False


async def test_unchanged_token_costs_one_introspection_and_no_wait() -> None:
    harness = WatchHarness()
    with harness.watch:
        await harness.watch.ensure_valid()

        assert all(returns_at_once(harness) for _ in range(100))

    assert (harness.introspections, harness.notified) == (1, 0)


async def test_change_from_before_the_watch_is_refused() -> None:
    harness = WatchHarness()
    await harness.guard.check(TOKEN)
    harness.change(1, None)

    with harness.watch, pytest.raises(TokenInvalid):
        await harness.watch.ensure_valid()


async def test_listener_runs_in_the_step_in_which_a_change_is_applied() -> None:
    harness = WatchHarness()
    with harness.watch:
        await harness.watch.ensure_valid()

        harness.change(1, None)

        assert harness.notified == 1
        with pytest.raises(TokenInvalid):
            await harness.watch.ensure_valid()


async def test_change_of_another_token_does_not_run_the_listener() -> None:
    harness = WatchHarness()
    with harness.watch:
        await harness.watch.ensure_valid()

        harness.guard.apply(change(1, mint("pgt")))

        assert returns_at_once(harness)
    assert (harness.introspections, harness.notified) == (1, 0)


async def test_narrowed_token_is_checked_again_and_refused_without_the_scope() -> None:
    harness = WatchHarness()
    with harness.watch:
        await harness.watch.ensure_valid()

        harness.change(1, grant("polls:read:PLAT", as_of=1))
        await harness.watch.ensure_valid()
        harness.change(2, grant("polls:read:OTHER", as_of=2))

        with pytest.raises(InsufficientScope):
            await harness.watch.ensure_valid()


async def test_revocation_applied_during_a_check_is_refused() -> None:
    harness = WatchHarness()
    with harness.watch:
        checking = harness.start_check()
        await harness.wait_for_introspection(1)

        harness.change(1, None)
        harness.gate.set()

        with pytest.raises(TokenInvalid):
            await checking


async def test_reset_during_a_check_causes_another_introspection() -> None:
    harness = WatchHarness()
    with harness.watch:
        checking = harness.start_check()
        await harness.wait_for_introspection(1)

        harness.answer = None
        harness.guard.reset(5)
        harness.gate.set()

        with pytest.raises(TokenInvalid):
            await checking
    assert harness.introspections == 2


async def test_reset_runs_the_listener_and_causes_another_introspection() -> None:
    harness = WatchHarness()
    with harness.watch:
        await harness.watch.ensure_valid()
        harness.answer = grant(as_of=5)

        harness.guard.reset(5)
        await harness.watch.ensure_valid()

    assert (harness.introspections, harness.notified) == (2, 1)


async def test_lease_that_expires_during_a_check_raises_unavailable() -> None:
    """The authority's answer may then be older than a revocation that did not wait for this guard."""
    harness = WatchHarness()
    with harness.watch:
        checking = harness.start_check()
        await harness.wait_for_introspection(1)

        harness.time += 3600
        harness.gate.set()

        with pytest.raises(GuardUnavailable):
            await checking


async def test_check_without_lease_raises_unavailable_without_introspection() -> None:
    harness = WatchHarness()
    with harness.watch:
        await harness.watch.ensure_valid()

        harness.lease.release()

        with pytest.raises(GuardUnavailable):
            await harness.watch.ensure_valid()
    assert harness.introspections == 1


async def test_check_succeeds_if_lease_is_renewed_in_time() -> None:
    harness = WatchHarness()
    with harness.watch:
        await harness.watch.ensure_valid()
        harness.lease.release()
        checking = asyncio.create_task(harness.watch.ensure_valid())
        await asyncio.sleep(0.01)

        harness.lease.renew(harness.time, 5.0)

        await checking
    assert harness.introspections == 1


async def test_listener_runs_when_lease_expires() -> None:
    harness = WatchHarness()
    harness.lease.release()
    harness.lease.renew(harness.time, 0.3)
    with harness.watch:
        await harness.watch.ensure_valid()
        harness.time += 0.3

        async with asyncio.timeout(5):
            while not harness.notified:
                await asyncio.sleep(0.01)


async def test_listener_runs_when_token_expires_and_check_is_refused() -> None:
    harness = WatchHarness()
    harness.answer = grant(expires_at_s=harness.wall + 0.05)
    with harness.watch:
        await harness.watch.ensure_valid()
        harness.wall += 0.05

        with pytest.raises(TokenInvalid):
            await harness.watch.ensure_valid()
        async with asyncio.timeout(5):
            while not harness.notified:
                await asyncio.sleep(0.01)


async def test_closed_watch_runs_no_listener_and_leaves_no_timer() -> None:
    harness = WatchHarness()
    harness.answer = grant(expires_at_s=harness.wall + 3600)
    with harness.watch:
        await harness.watch.ensure_valid()

    harness.guard.apply(change(1))
    harness.guard.reset(2)

    assert harness.notified == 0
    listeners = harness.guard._listeners
    assert (len(listeners), listeners._by_token, listeners._timer, harness.watch._expiry) == (0, {}, None, None)


async def test_token_is_not_in_any_repr() -> None:
    harness = WatchHarness()
    with harness.watch:
        harness.answer = None
        with pytest.raises(TokenInvalid) as refused:
            await harness.watch.ensure_valid()

        assert TOKEN not in repr(harness.watch) + repr(refused.value) + repr(harness.guard._listeners._by_token)
