"""How long the authority waits for a silent guard, compared with how long the guard uses its lease."""

from uuid import UUID

from services.token_authority.domain.lease import GuardKey, LeaseWatch, PendingChange
from services.token_authority.domain.lease import Lease as LeaseOnRecord
from shared.guard.lease import Lease as GuardsLease

LEASE_S = 5.0
RATE = 1.009
"""One clock may run this much too fast, and another one this much too slow."""
ON_RECORD = LeaseOnRecord(GuardKey("polls", "guard"), applied=0, lease_s=LEASE_S, renewal=UUID(int=1))


def test_lease_of_guard_with_slow_clock_ends_before_authority_with_fast_clock_counts_it_as_expired() -> None:
    true_time = 0.0
    guards = GuardsLease(lambda: true_time / RATE)
    guards.renew(0.0, LEASE_S)
    change, watch = PendingChange(1, [ON_RECORD], committed_at=0.0), LeaseWatch()
    watch.select_expired([ON_RECORD], seen_at=0.0)

    while guards.is_held:
        change.advance_to(true_time * RATE)
        assert not change.is_effective
        assert not watch.select_expired([ON_RECORD], true_time * RATE)
        true_time += LEASE_S / 1000

    assert true_time > LEASE_S
    change.advance_to(LEASE_S * RATE**2 * 1.01)
    assert change.is_effective
