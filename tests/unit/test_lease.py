"""The authority waits longer for a silent guard than the guard uses its lease, for any clock rates that are allowed."""

from uuid import UUID

from services.token_authority.domain.lease import GuardKey, LeaseWatch, Wait
from services.token_authority.domain.lease import Lease as LeaseOnRecord
from shared.guard.lease import Lease as GuardsLease

LEASE_S = 5.0
RATE = 1.009
"""One clock may be too fast by this factor, and another too slow by it."""
ON_RECORD = LeaseOnRecord(GuardKey("polls", "guard"), applied=0, lease_s=LEASE_S, renewal=UUID(int=1))


def test_lease_of_slow_clock_guard_is_over_when_fast_clock_authority_counts_it_out() -> None:
    true_time = 0.0
    guards = GuardsLease(lambda: true_time / RATE)
    guards.renew(0.0, LEASE_S)
    wait, watch = Wait(1, [ON_RECORD], committed_at=0.0), LeaseWatch()
    watch.run_out([ON_RECORD], seen_at=0.0)

    while guards.is_held:
        wait.pass_to(true_time * RATE)
        assert not wait.is_over
        assert not watch.run_out([ON_RECORD], true_time * RATE)
        true_time += LEASE_S / 1000

    assert true_time > LEASE_S
    wait.pass_to(LEASE_S * RATE**2 * 1.01)
    assert wait.is_over
