"""The guard's decisions, with a clock and an authority that the test controls."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import CollectorRegistry

from shared.contract.change import Change
from shared.contract.introspection import Grant
from shared.contract.scope import Scope
from shared.contract.token import digest, mint
from shared.guard import GuardUnavailable, TokenInvalid, TooManyUnknownTokens
from shared.guard.guard import (
    GRANT_LIFE_S,
    MAX_ATTEMPTS,
    MAX_REFUSALS,
    REFUSAL_LIFE_S,
    REVALIDATION_INTERVAL_S,
    Guard,
)
from shared.guard.introspection_limits import MAX_CONCURRENT_INTROSPECTIONS, PER_NETWORK, QUEUE_PER_NETWORK
from shared.guard.lease import Lease
from shared.guard.metrics import GuardMetrics
from shared.guard.tombstones import Tombstones

FOREVER = float("inf")
TOKEN = mint("pgt")
LEASE_S = 5.0


def grant(token_id: str = "tok_1", expires_at_s: float = FOREVER, as_of: int = 0) -> Grant:
    return Grant(token_id, "sec_1", "site_1", "endpoint", (Scope.parse("polls:*:*"),), expires_at_s, as_of)


def revocation(seq: int, token: str = TOKEN) -> Change:
    return Change(seq, digest(token).hex())


class GuardHarness:
    """A guard with a lease. Its authority returns `answers` in order, then the last one, while `gate` is open."""

    def __init__(self, *answers: Grant | None) -> None:
        self.answers = list(answers)
        self.introspections = 0
        self.is_away = False
        self.failure_takes_s = 0.0
        self.during_introspection: Callable[[], None] = lambda: None
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
        self.introspections += 1
        if self.is_away:
            self.time += self.failure_takes_s
            raise GuardUnavailable("away")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await self.gate.wait()
        self.during_introspection()
        return answer

    async def wait_for_introspection(self) -> None:
        """Wait until an introspection is in progress."""
        while not self.introspections:
            await asyncio.sleep(0)

    async def is_refused(self, token: str = TOKEN, *, no_cache: bool = False) -> bool:
        try:
            await self.guard.check(token, no_cache=no_cache)
        except TokenInvalid:
            return True
        return False


async def test_check_of_cached_token_makes_no_introspection() -> None:
    harness = GuardHarness(grant())

    await harness.guard.check(TOKEN)
    await harness.guard.check(TOKEN)

    assert harness.introspections == 1
    assert (harness.count("hit"), harness.count("miss")) == (1, 1)


async def test_hundred_concurrent_checks_of_uncached_token_make_one_introspection() -> None:
    harness = GuardHarness(grant())
    harness.gate.clear()

    waiting = [asyncio.create_task(harness.guard.check(TOKEN)) for _ in range(100)]
    await asyncio.sleep(0)
    harness.gate.set()

    assert {v.grant.token_id for v in await asyncio.gather(*waiting)} == {"tok_1"}
    assert harness.introspections == 1


@pytest.mark.parametrize("malformed", ["", "pgt_", TOKEN[:-1], TOKEN + "0", TOKEN[:-1] + "é", mint("pga")])
async def test_malformed_token_is_refused_without_introspection(malformed: str) -> None:
    harness = GuardHarness(grant())

    assert await harness.is_refused(malformed)
    assert harness.introspections == 0


async def test_cache_stores_digests_and_no_tokens() -> None:
    harness = GuardHarness(grant(), None)

    await harness.guard.check(TOKEN)
    await harness.is_refused(mint("pgt"))

    seen = repr(vars(harness.guard._grants)) + repr(vars(harness.guard._refusals)) + repr(harness.guard._introspections)
    assert "pgt_" not in seen
    assert repr(digest(TOKEN)) in seen


async def test_cached_token_is_refused_once_it_has_expired() -> None:
    harness = GuardHarness(grant(expires_at_s=1_800_000_002.0))
    await harness.guard.check(TOKEN)

    harness.wall += 2

    assert await harness.is_refused()
    assert harness.introspections == 1


async def test_cached_grant_without_expiry_lives_for_its_ttl_regardless_of_hits() -> None:
    harness = GuardHarness(grant(), None)
    await harness.guard.check(TOKEN)

    harness.time += GRANT_LIFE_S - 0.1
    await harness.guard.check(TOKEN)
    harness.time += 0.1

    assert await harness.is_refused()


async def test_ttl_of_slow_introspection_starts_when_it_was_sent() -> None:
    harness = GuardHarness(grant(), None)
    harness.gate.clear()
    checking = asyncio.create_task(harness.guard.check(TOKEN))
    await harness.wait_for_introspection()
    harness.time += GRANT_LIFE_S
    harness.gate.set()
    await checking

    assert await harness.is_refused()


async def test_refusal_is_cached_for_its_short_ttl() -> None:
    harness = GuardHarness(None, grant())

    assert await harness.is_refused()
    assert await harness.is_refused()
    assert harness.introspections == 1

    harness.time += REFUSAL_LIFE_S
    assert not await harness.is_refused()


async def test_flood_of_made_up_tokens_evicts_no_grant_and_uses_bounded_memory() -> None:
    harness = GuardHarness(grant(), None)
    await harness.guard.check(TOKEN)

    for _ in range(MAX_REFUSALS + 10):
        assert await harness.is_refused(mint("pgt"))

    assert not await harness.is_refused()
    assert harness.introspections == 1 + MAX_REFUSALS + 10
    assert len(harness.guard._refusals) == MAX_REFUSALS


async def test_changed_token_is_introspected_again() -> None:
    harness = GuardHarness(grant(), None)
    await harness.guard.check(TOKEN)

    harness.guard.apply(revocation(1))

    assert await harness.is_refused()


async def test_answer_older_than_a_change_is_used_by_no_waiting_request() -> None:
    harness = GuardHarness(grant(as_of=0), None)
    harness.gate.clear()
    waiting = [asyncio.create_task(harness.is_refused()) for _ in range(5)]
    await harness.wait_for_introspection()

    harness.guard.apply(revocation(1))
    joined = asyncio.create_task(harness.is_refused())
    await asyncio.sleep(0)
    harness.gate.set()

    assert await asyncio.gather(*waiting, joined) == [True] * 6
    assert await harness.is_refused()
    assert harness.introspections == 2


async def test_answer_from_after_a_change_is_used_without_another_introspection() -> None:
    harness = GuardHarness(grant(as_of=1))
    harness.gate.clear()
    waiting = asyncio.create_task(harness.guard.check(TOKEN))
    await harness.wait_for_introspection()

    harness.guard.apply(revocation(1))
    harness.gate.set()

    assert (await waiting).grant.token_id == "tok_1"
    assert harness.introspections == 1


async def test_answer_for_a_changed_token_is_used_only_after_a_later_sync() -> None:
    """A restored log may have given the number of the change to another one."""
    harness = GuardHarness(grant(as_of=1))
    harness.guard.apply(revocation(1))
    harness.time += 1

    checking = asyncio.create_task(harness.guard.check(TOKEN))
    await asyncio.wait_for(harness.guard.wants_sync.wait(), 1)
    harness.lease.renew(harness.time - 0.5, 3600.0)
    await asyncio.sleep(0)
    is_used_early = checking.done()
    harness.renew(3600.0)

    assert not is_used_early
    assert (await checking).grant.token_id == "tok_1"


async def test_answer_for_a_changed_token_without_a_later_sync_raises_unavailable() -> None:
    harness = GuardHarness(grant(as_of=1))
    harness.guard.apply(revocation(1))
    harness.time += 1

    with pytest.raises(GuardUnavailable, match="no sync has confirmed"):
        await harness.guard.check(TOKEN)


async def test_answer_from_before_a_reset_is_not_used() -> None:
    harness = GuardHarness(grant(as_of=8), None)
    harness.gate.clear()
    waiting = asyncio.create_task(harness.is_refused())
    await harness.wait_for_introspection()

    harness.guard.reset(9)
    harness.gate.set()

    assert await waiting


async def test_answers_that_are_overtaken_by_a_change_each_time_raise_unavailable() -> None:
    harness = GuardHarness(*(grant(as_of=seq) for seq in range(MAX_ATTEMPTS)))
    harness.during_introspection = lambda: harness.guard.apply(revocation(harness.introspections))

    with pytest.raises(GuardUnavailable):
        await harness.guard.check(TOKEN)

    assert harness.introspections == MAX_ATTEMPTS


@pytest.mark.parametrize("changed", [TOKEN, mint("pgt")], ids=["the same token", "another token"])
async def test_answer_older_than_a_change_applied_before_raises_unavailable_and_asks_for_a_sync(changed: str) -> None:
    """The database of the authority was restored, or it reads from a lagging replica of it."""
    harness = GuardHarness(grant(as_of=9), grant(as_of=10))
    harness.guard.apply(revocation(10, changed))

    with pytest.raises(GuardUnavailable, match="went back"):
        await harness.guard.check(TOKEN)

    assert harness.guard.wants_sync.is_set()
    await harness.guard.check(TOKEN)
    assert harness.introspections == 2


async def test_answer_older_than_the_head_of_a_reset_raises_unavailable() -> None:
    harness = GuardHarness(grant(as_of=9))
    harness.guard.reset(10)

    with pytest.raises(GuardUnavailable, match="went back"):
        await harness.guard.check(TOKEN)


async def test_without_lease_every_check_is_introspected() -> None:
    harness = GuardHarness(grant(), None)
    await harness.guard.check(TOKEN)

    harness.lease.release()

    assert await harness.is_refused()
    assert await harness.is_refused()
    assert harness.introspections == 3
    assert harness.count("stale") == 2


async def test_lease_expires_at_its_end_counted_from_when_its_sync_was_sent() -> None:
    harness = GuardHarness(grant())
    harness.lease.release()
    harness.lease.renew(harness.time - 4, LEASE_S)
    await harness.guard.check(TOKEN)

    harness.time += 1
    await harness.guard.check(TOKEN)

    assert harness.introspections == 2


async def test_check_without_lease_ignores_introspection_sent_earlier() -> None:
    harness = GuardHarness(grant(), None)
    harness.lease.release()
    harness.gate.clear()
    first = asyncio.create_task(harness.is_refused())
    await harness.wait_for_introspection()

    later = [asyncio.create_task(harness.is_refused()) for _ in range(5)]
    await asyncio.sleep(0)
    harness.gate.set()

    assert not await first
    assert await asyncio.gather(*later) == [True] * 5
    assert harness.introspections == 2


async def test_no_cache_checks_introspect_once_per_interval() -> None:
    harness = GuardHarness(grant())
    await harness.guard.check(TOKEN)

    for _ in range(100):
        await harness.guard.check(TOKEN, no_cache=True)
    assert harness.introspections == 2

    harness.time += REVALIDATION_INTERVAL_S
    await harness.guard.check(TOKEN, no_cache=True)
    assert harness.introspections == 3
    assert harness.count("bypassed") == 2


async def test_concurrent_no_cache_checks_wait_for_one_introspection() -> None:
    harness = GuardHarness(grant(), None)
    await harness.guard.check(TOKEN)
    harness.gate.clear()
    waiting = [asyncio.create_task(harness.is_refused(no_cache=True)) for _ in range(100)]
    await asyncio.sleep(0)
    harness.time += REVALIDATION_INTERVAL_S
    waiting.append(asyncio.create_task(harness.is_refused(no_cache=True)))
    await asyncio.sleep(0)
    harness.gate.set()

    assert await asyncio.gather(*waiting) == [True] * 101
    assert harness.introspections == 2


async def test_no_cache_check_without_lease_uses_no_introspection_sent_earlier() -> None:
    harness = GuardHarness(grant(), None)
    harness.lease.release()
    harness.gate.clear()
    first = asyncio.create_task(harness.is_refused(no_cache=True))
    await harness.wait_for_introspection()
    second = asyncio.create_task(harness.is_refused(no_cache=True))
    await asyncio.sleep(0)
    harness.gate.set()

    assert (await first, await second) == (False, True)
    assert harness.introspections == 2


async def test_no_cache_checks_while_authority_is_away_use_cache_until_lease_ends() -> None:
    harness = GuardHarness(grant())
    await harness.guard.check(TOKEN)
    harness.time += 3
    harness.is_away = True

    ages = [(await harness.guard.check(TOKEN, no_cache=True)).age_s for _ in range(100)]
    assert (ages, harness.introspections) == ([3.0] * 100, 2)

    harness.time += REVALIDATION_INTERVAL_S
    harness.failure_takes_s = REVALIDATION_INTERVAL_S
    for _ in range(100):
        await harness.guard.check(TOKEN, no_cache=True)
    assert harness.introspections == 3

    with pytest.raises(GuardUnavailable):
        await harness.guard.check(mint("pgt"), no_cache=True)
    harness.lease.release()
    with pytest.raises(GuardUnavailable):
        await harness.guard.check(TOKEN, no_cache=True)


async def test_no_cache_check_while_authority_is_away_refuses_changed_token() -> None:
    harness = GuardHarness(grant())
    await harness.guard.check(TOKEN)
    harness.is_away = True

    harness.guard.apply(revocation(1))

    with pytest.raises(GuardUnavailable):
        await harness.guard.check(TOKEN, no_cache=True)


async def test_age_counts_from_latest_introspection_or_lease_renewal() -> None:
    harness = GuardHarness(grant())

    assert (await harness.guard.check(TOKEN)).age_s == 0
    harness.time += 3
    assert (await harness.guard.check(TOKEN)).age_s == 3
    harness.renew(3600.0)
    harness.time += 1
    assert (await harness.guard.check(TOKEN)).age_s == 1


async def test_failed_introspection_raises_unavailable_and_is_not_cached() -> None:
    answers: list[Callable[[], Awaitable[Grant | None]]] = []

    async def introspect(_token: str) -> Grant | None:
        return await answers.pop(0)()

    async def raise_unavailable() -> Grant | None:
        raise GuardUnavailable("away")

    async def return_grant() -> Grant | None:
        return grant()

    answers += [raise_unavailable, return_grant]
    harness = GuardHarness(grant())
    harness.guard._introspect = introspect

    with pytest.raises(GuardUnavailable):
        await harness.guard.check(TOKEN)
    assert (await harness.guard.check(TOKEN)).grant.token_id == "tok_1"


async def test_check_beyond_limit_of_concurrent_introspections_raises_unavailable() -> None:
    harness = GuardHarness(grant())
    harness.gate.clear()
    waiting = [asyncio.create_task(harness.guard.check(mint("pgt"))) for _ in range(MAX_CONCURRENT_INTROSPECTIONS)]
    await asyncio.sleep(0)

    with pytest.raises(GuardUnavailable):
        await harness.guard.check(TOKEN)

    harness.gate.set()
    await asyncio.gather(*waiting)
    await harness.guard.check(TOKEN)


async def test_burst_of_made_up_tokens_from_address_leaves_introspections_to_others() -> None:
    harness = GuardHarness(grant())
    harness.gate.clear()
    burst = [
        asyncio.create_task(harness.guard.check(mint("pgt"), network="2001:db8::/64"))
        for _ in range(MAX_CONCURRENT_INTROSPECTIONS)
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    in_progress = harness.introspections
    other = asyncio.create_task(harness.guard.check(TOKEN, network="192.0.2.1"))
    await asyncio.sleep(0)
    harness.gate.set()

    assert in_progress == PER_NETWORK
    assert (await other).grant.token_id == "tok_1"
    outcomes = await asyncio.gather(*burst, return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, TooManyUnknownTokens)]
    assert len(refused) == MAX_CONCURRENT_INTROSPECTIONS - PER_NETWORK - QUEUE_PER_NETWORK


async def test_known_token_without_lease_is_introspected_during_burst_from_its_address() -> None:
    harness = GuardHarness(grant())
    await harness.guard.check(TOKEN, network="192.0.2.1")
    harness.lease.release()
    harness.gate.clear()
    filling = PER_NETWORK + QUEUE_PER_NETWORK
    burst = [asyncio.create_task(harness.guard.check(mint("pgt"), network="192.0.2.1")) for _ in range(filling)]
    await asyncio.sleep(0)
    known = asyncio.create_task(harness.guard.check(TOKEN, network="192.0.2.1"))
    await asyncio.sleep(0)
    harness.gate.set()

    assert (await known).grant.token_id == "tok_1"
    await asyncio.gather(*burst, return_exceptions=True)


async def test_cancelled_check_does_not_cancel_shared_introspection() -> None:
    harness = GuardHarness(grant())
    harness.gate.clear()
    impatient, patient = (asyncio.create_task(harness.guard.check(TOKEN)) for _ in range(2))
    await harness.wait_for_introspection()

    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    harness.gate.set()

    assert (await patient).grant.token_id == "tok_1"


def test_full_tombstones_drop_oldest_and_reject_older_answers() -> None:
    tombstones = Tombstones(size=2)

    for seq, key in enumerate((b"a", b"b", b"c"), start=1):
        tombstones.add(key, seq)

    assert not tombstones.allows(b"a", as_of=0)
    assert tombstones.allows(b"a", as_of=1)
    assert not tombstones.allows(b"c", as_of=2)
    assert tombstones.allows(b"c", as_of=3)
