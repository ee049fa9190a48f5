"""The guard's decisions, with its clock and its authority passed in."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import CollectorRegistry

from shared.contract.change import Change
from shared.contract.introspection import Grant
from shared.contract.scope import Scope
from shared.contract.token import digest, mint
from shared.guard import GuardUnavailable, TokenInvalid
from shared.guard.guard import (
    GRANT_LIFE_S,
    MAX_ATTEMPTS,
    MAX_CONCURRENT_INTROSPECTIONS,
    MAX_REFUSALS,
    REFUSAL_LIFE_S,
    Guard,
)
from shared.guard.lease import Lease
from shared.guard.metrics import GuardMetrics
from shared.guard.tombstones import Tombstones

FOREVER = float("inf")
TOKEN = mint("pgt")
LEASE_S = 5.0


def grant(token_id: str = "tok_1", expires_at_s: float = FOREVER, as_of: int = 0) -> Grant:
    return Grant(token_id, "sec_1", "site_1", "endpoint", (Scope.parse("polls:*:*"),), expires_at_s, as_of)


def revoked(seq: int, token: str = TOKEN) -> Change:
    return Change(seq, "revoked", "tok_1", digest(token).hex())


class Scene:
    """A guard under a lease, before an authority that answers what `answers` says, when `gate` lets it."""

    def __init__(self, *answers: Grant | None) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.time = 1000.0
        self.wall = 1_800_000_000.0
        self.registry = CollectorRegistry()
        self.lease = Lease(lambda: self.time)
        self.guard = Guard(
            self._introspect,
            self.lease,
            GuardMetrics(self.registry),
            clock=lambda: self.time,
            now=lambda: self.wall,
        )
        self.renew(3600.0)

    def renew(self, length_s: float) -> None:
        self.lease.renew(self.time, length_s)

    def count(self, result: str) -> float:
        return self.registry.get_sample_value("pollgate_guard_cache_total", {"result": result}) or 0

    async def _introspect(self, _token: str) -> Grant | None:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await self.gate.wait()
        return answer

    async def under_way(self) -> None:
        """Wait until the authority is being asked."""
        while not self.asked:
            await asyncio.sleep(0)

    async def refused(self, token: str = TOKEN, *, no_cache: bool = False) -> bool:
        try:
            await self.guard.check(token, no_cache=no_cache)
        except TokenInvalid:
            return True
        return False


async def test_a_cached_token_costs_no_introspection() -> None:
    scene = Scene(grant())

    await scene.guard.check(TOKEN)
    await scene.guard.check(TOKEN)

    assert scene.asked == 1
    assert (scene.count("hit"), scene.count("miss")) == (1, 1)


async def test_a_hundred_requests_with_one_cold_token_make_one_introspection() -> None:
    scene = Scene(grant())
    scene.gate.clear()

    waiting = [asyncio.create_task(scene.guard.check(TOKEN)) for _ in range(100)]
    await asyncio.sleep(0)
    scene.gate.set()

    assert {v.grant.token_id for v in await asyncio.gather(*waiting)} == {"tok_1"}
    assert scene.asked == 1


@pytest.mark.parametrize("malformed", ["", "pgt_", TOKEN[:-1], TOKEN + "0", TOKEN[:-1] + "é", mint("pga")])
async def test_a_malformed_token_is_refused_without_asking(malformed: str) -> None:
    scene = Scene(grant())

    assert await scene.refused(malformed)
    assert scene.asked == 0


async def test_the_cache_holds_no_token_as_it_is_presented() -> None:
    scene = Scene(grant(), None)

    await scene.guard.check(TOKEN)
    await scene.refused(mint("pgt"))

    seen = repr(vars(scene.guard._grants)) + repr(vars(scene.guard._refusals)) + repr(scene.guard._introspections)
    assert "pgt_" not in seen
    assert repr(digest(TOKEN)) in seen


async def test_expiry_is_checked_on_hits() -> None:
    scene = Scene(grant(expires_at_s=1_800_000_002.0))
    await scene.guard.check(TOKEN)

    scene.wall += 2

    assert await scene.refused()
    assert scene.asked == 1


async def test_a_grant_without_expiry_is_kept_for_its_life_and_a_hit_does_not_renew_it() -> None:
    scene = Scene(grant(), None)
    await scene.guard.check(TOKEN)

    scene.time += GRANT_LIFE_S - 0.1
    await scene.guard.check(TOKEN)
    scene.time += 0.1

    assert await scene.refused()


async def test_a_slow_introspection_counts_from_when_it_was_asked() -> None:
    scene = Scene(grant(), None)
    scene.gate.clear()
    checking = asyncio.create_task(scene.guard.check(TOKEN))
    await scene.under_way()
    scene.time += GRANT_LIFE_S
    scene.gate.set()
    await checking

    assert await scene.refused()


async def test_a_refusal_is_remembered_briefly() -> None:
    scene = Scene(None, grant())

    assert await scene.refused()
    assert await scene.refused()
    assert scene.asked == 1

    scene.time += REFUSAL_LIFE_S
    assert not await scene.refused()


async def test_a_flood_of_made_up_tokens_pushes_no_good_one_out_and_is_bounded() -> None:
    scene = Scene(grant(), None)
    await scene.guard.check(TOKEN)

    for _ in range(MAX_REFUSALS + 10):
        assert await scene.refused(mint("pgt"))

    assert not await scene.refused()
    assert scene.asked == 1 + MAX_REFUSALS + 10
    assert len(scene.guard._refusals) == MAX_REFUSALS


async def test_a_changed_token_is_asked_about_anew() -> None:
    scene = Scene(grant(), None)
    await scene.guard.check(TOKEN)

    scene.guard.apply(revoked(1))

    assert await scene.refused()


async def test_an_answer_older_than_a_change_is_used_by_nobody_who_waits_for_it() -> None:
    scene = Scene(grant(as_of=0), None)
    scene.gate.clear()
    waiting = [asyncio.create_task(scene.refused()) for _ in range(5)]
    await scene.under_way()

    scene.guard.apply(revoked(1))
    joined = asyncio.create_task(scene.refused())
    await asyncio.sleep(0)
    scene.gate.set()

    assert await asyncio.gather(*waiting, joined) == [True] * 6
    assert await scene.refused()
    assert scene.asked == 2


async def test_an_answer_from_after_the_change_is_not_asked_for_again() -> None:
    scene = Scene(grant(as_of=1))
    scene.gate.clear()
    waiting = asyncio.create_task(scene.guard.check(TOKEN))
    await scene.under_way()

    scene.guard.apply(revoked(1))
    scene.gate.set()

    assert (await waiting).grant.token_id == "tok_1"
    assert scene.asked == 1


async def test_nor_is_one_used_from_before_a_fresh_start() -> None:
    scene = Scene(grant(as_of=8), None)
    scene.gate.clear()
    waiting = asyncio.create_task(scene.refused())
    await scene.under_way()

    scene.guard.reset(9)
    scene.gate.set()

    assert await waiting


async def test_an_authority_that_answers_from_the_past_is_not_believed() -> None:
    """Such as one that reads from a replica of its database."""
    scene = Scene(grant(as_of=9))
    scene.guard.apply(revoked(10))

    with pytest.raises(GuardUnavailable):
        await scene.guard.check(TOKEN)

    assert scene.asked == MAX_ATTEMPTS


async def test_without_the_lease_the_cache_is_not_used_and_each_request_asks() -> None:
    scene = Scene(grant(), None)
    await scene.guard.check(TOKEN)

    scene.lease.release()

    assert await scene.refused()
    assert await scene.refused()
    assert scene.asked == 3
    assert scene.count("stale") == 2


async def test_the_lease_runs_out_at_its_end_and_counts_from_asking() -> None:
    scene = Scene(grant())
    scene.lease.release()
    scene.lease.renew(scene.time - 4, LEASE_S)
    await scene.guard.check(TOKEN)

    scene.time += 1
    await scene.guard.check(TOKEN)

    assert scene.asked == 2


async def test_without_the_lease_a_request_is_not_answered_by_what_was_asked_before_it_came() -> None:
    scene = Scene(grant(), None)
    scene.lease.release()
    scene.gate.clear()
    first = asyncio.create_task(scene.refused())
    await scene.under_way()

    later = [asyncio.create_task(scene.refused()) for _ in range(5)]
    await asyncio.sleep(0)
    scene.gate.set()

    assert not await first
    assert await asyncio.gather(*later) == [True] * 5
    assert scene.asked == 2


async def test_no_cache_asks_the_authority_after_the_request_came() -> None:
    scene = Scene(grant(), grant(), None)
    await scene.guard.check(TOKEN)
    scene.gate.clear()
    first = asyncio.create_task(scene.refused(no_cache=True))
    while scene.asked < 2:
        await asyncio.sleep(0)
    second = asyncio.create_task(scene.refused(no_cache=True))
    await asyncio.sleep(0)
    scene.gate.set()

    assert (await first, await second) == (False, True)
    assert scene.asked == 3


async def test_the_age_says_how_long_nothing_newer_has_been_heard() -> None:
    scene = Scene(grant())

    assert (await scene.guard.check(TOKEN)).age_s == 0
    scene.time += 3
    assert (await scene.guard.check(TOKEN)).age_s == 3
    scene.renew(3600.0)
    scene.time += 1
    assert (await scene.guard.check(TOKEN)).age_s == 1


async def test_an_authority_that_does_not_answer_is_no_refusal_and_is_not_remembered() -> None:
    answers: list[Callable[[], Awaitable[Grant | None]]] = []

    async def introspect(_token: str) -> Grant | None:
        return await answers.pop(0)()

    async def away() -> Grant | None:
        raise GuardUnavailable("away")

    async def back() -> Grant | None:
        return grant()

    answers += [away, back]
    scene = Scene(grant())
    scene.guard._introspect = introspect

    with pytest.raises(GuardUnavailable):
        await scene.guard.check(TOKEN)
    assert (await scene.guard.check(TOKEN)).grant.token_id == "tok_1"


async def test_introspections_under_way_are_bounded() -> None:
    scene = Scene(grant())
    scene.gate.clear()
    waiting = [asyncio.create_task(scene.guard.check(mint("pgt"))) for _ in range(MAX_CONCURRENT_INTROSPECTIONS)]
    await asyncio.sleep(0)

    with pytest.raises(GuardUnavailable):
        await scene.guard.check(TOKEN)

    scene.gate.set()
    await asyncio.gather(*waiting)
    await scene.guard.check(TOKEN)


async def test_a_request_that_gives_up_takes_nobody_with_it() -> None:
    scene = Scene(grant())
    scene.gate.clear()
    impatient, patient = (asyncio.create_task(scene.guard.check(TOKEN)) for _ in range(2))
    await scene.under_way()

    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    scene.gate.set()

    assert (await patient).grant.token_id == "tok_1"


def test_tombstones_are_bounded_and_what_they_have_forgotten_is_not_allowed() -> None:
    tombstones = Tombstones(size=2)

    for seq, key in enumerate((b"a", b"b", b"c"), start=1):
        tombstones.add(key, seq)

    assert not tombstones.allows(b"a", as_of=0)
    assert tombstones.allows(b"a", as_of=1)
    assert not tombstones.allows(b"c", as_of=2)
    assert tombstones.allows(b"c", as_of=3)
