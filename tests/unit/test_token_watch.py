"""Whether a token still works, asked over a long time, with every race arranged."""

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
    return Change(seq, "narrowed", "tok_1", digest(token).hex())


class Scene:
    """A watched token under a lease, before an authority that answers what `answer` says, when `gate` lets it."""

    def __init__(self) -> None:
        self.answer: Grant | None = grant()
        self.asked = 0
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
        self.asked += 1
        answer = self.answer
        await self.gate.wait()
        return answer

    def _on_change(self) -> None:
        self.notified += 1

    def changes(self, seq: int, answer: Grant | None) -> None:
        """The authority says something else from `seq` on, and the guard has been told of it."""
        self.answer = answer
        self.guard.apply(change(seq))

    def asking(self) -> "asyncio.Task[None]":
        """`ensure_valid`, with the authority's answer on its way."""
        self.gate.clear()
        return asyncio.create_task(self.watch.ensure_valid())

    async def under_way(self, asked: int) -> None:
        """Wait until the authority has been asked so often."""
        async with asyncio.timeout(5):
            while self.asked < asked:
                await asyncio.sleep(0)


def _check_grant(grant: Grant) -> None:
    if not grant.covers(Action.READ, PLACE):
        raise InsufficientScope(Action.READ, PLACE.path)


def at_once(scene: Scene) -> bool:
    """Whether `ensure_valid` returns without waiting for anything."""
    try:
        scene.watch.ensure_valid().send(None)
    except StopIteration:
        return True
    return False


async def test_while_nothing_changes_it_costs_one_introspection_and_no_wait() -> None:
    scene = Scene()
    with scene.watch:
        await scene.watch.ensure_valid()

        assert all(at_once(scene) for _ in range(100))

    assert (scene.asked, scene.notified) == (1, 0)


async def test_a_change_from_before_the_watch_began_is_seen() -> None:
    scene = Scene()
    await scene.guard.check(TOKEN)
    scene.changes(1, None)

    with scene.watch, pytest.raises(TokenInvalid):
        await scene.watch.ensure_valid()


async def test_a_change_is_told_in_the_step_in_which_it_is_applied() -> None:
    scene = Scene()
    with scene.watch:
        await scene.watch.ensure_valid()

        scene.changes(1, None)

        assert scene.notified == 1
        with pytest.raises(TokenInvalid):
            await scene.watch.ensure_valid()


async def test_a_change_of_another_token_is_not_told() -> None:
    scene = Scene()
    with scene.watch:
        await scene.watch.ensure_valid()

        scene.guard.apply(change(1, mint("pgt")))

        assert at_once(scene)
    assert (scene.asked, scene.notified) == (1, 0)


async def test_a_narrowing_is_held_against_what_is_demanded() -> None:
    scene = Scene()
    with scene.watch:
        await scene.watch.ensure_valid()

        scene.changes(1, grant("polls:read:PLAT", as_of=1))
        await scene.watch.ensure_valid()
        scene.changes(2, grant("polls:read:OTHER", as_of=2))

        with pytest.raises(InsufficientScope):
            await scene.watch.ensure_valid()


async def test_a_revocation_that_is_applied_while_the_token_is_checked_is_seen() -> None:
    scene = Scene()
    with scene.watch:
        asking = scene.asking()
        await scene.under_way(1)

        scene.changes(1, None)
        scene.gate.set()

        with pytest.raises(TokenInvalid):
            await asking


async def test_a_fresh_start_while_the_token_is_checked_makes_it_ask_again() -> None:
    scene = Scene()
    with scene.watch:
        asking = scene.asking()
        await scene.under_way(1)

        scene.answer = None
        scene.guard.reset(5)
        scene.gate.set()

        with pytest.raises(TokenInvalid):
            await asking
    assert scene.asked == 2


async def test_after_a_fresh_start_it_is_asked_anew() -> None:
    scene = Scene()
    with scene.watch:
        await scene.watch.ensure_valid()
        scene.answer = grant(as_of=5)

        scene.guard.reset(5)
        await scene.watch.ensure_valid()

    assert (scene.asked, scene.notified) == (2, 1)


async def test_a_lease_that_runs_out_while_the_token_is_checked_is_not_held() -> None:
    """What the authority answers then may be older than a revocation that did not wait for this guard."""
    scene = Scene()
    with scene.watch:
        asking = scene.asking()
        await scene.under_way(1)

        scene.time += 3600
        scene.gate.set()

        with pytest.raises(GuardUnavailable):
            await asking


async def test_without_a_lease_it_refuses_and_asks_nobody() -> None:
    scene = Scene()
    with scene.watch:
        await scene.watch.ensure_valid()

        scene.lease.release()

        with pytest.raises(GuardUnavailable):
            await scene.watch.ensure_valid()
    assert scene.asked == 1


async def test_a_lease_that_is_back_in_time_is_enough() -> None:
    scene = Scene()
    with scene.watch:
        await scene.watch.ensure_valid()
        scene.lease.release()
        asking = asyncio.create_task(scene.watch.ensure_valid())
        await asyncio.sleep(0.01)

        scene.lease.renew(scene.time, 5.0)

        await asking
    assert scene.asked == 1


async def test_the_end_of_the_lease_is_told() -> None:
    scene = Scene()
    scene.lease.release()
    scene.lease.renew(scene.time, 0.3)
    with scene.watch:
        await scene.watch.ensure_valid()
        scene.time += 0.3

        async with asyncio.timeout(5):
            while not scene.notified:
                await asyncio.sleep(0.01)


async def test_expiry_is_told_and_refused() -> None:
    scene = Scene()
    scene.answer = grant(expires_at_s=scene.wall + 0.05)
    with scene.watch:
        await scene.watch.ensure_valid()
        scene.wall += 0.05

        with pytest.raises(TokenInvalid):
            await scene.watch.ensure_valid()
        async with asyncio.timeout(5):
            while not scene.notified:
                await asyncio.sleep(0.01)


async def test_a_watch_that_is_over_is_told_of_nothing_and_leaves_nothing_behind() -> None:
    scene = Scene()
    scene.answer = grant(expires_at_s=scene.wall + 3600)
    with scene.watch:
        await scene.watch.ensure_valid()

    scene.guard.apply(change(1))
    scene.guard.reset(2)

    assert scene.notified == 0
    listeners = scene.guard._listeners
    assert (len(listeners), listeners._by_token, listeners._timer, scene.watch._expiry) == (0, {}, None, None)


async def test_the_token_stands_in_nothing_that_may_be_printed() -> None:
    scene = Scene()
    with scene.watch:
        scene.answer = None
        with pytest.raises(TokenInvalid) as refused:
            await scene.watch.ensure_valid()

        assert TOKEN not in repr(scene.watch) + repr(refused.value) + repr(scene.guard._listeners._by_token)
