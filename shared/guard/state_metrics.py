"""Show the state of a guard: its lease, what it has not applied yet, its cache and its subscription."""

from prometheus_client import CollectorRegistry

from shared.guard.feed import ChangeFeed
from shared.guard.follower import Follower
from shared.guard.guard import Guard
from shared.guard.lease import Lease
from shared.runtime.process.metrics import Readings


def show_state(registry: CollectorRegistry, guard: Guard, lease: Lease, follower: Follower, feed: ChangeFeed) -> None:
    """Register gauges that are read when they are shown: of several workers the worst, and all that they cache."""
    readings = Readings(registry)
    readings.show(
        "pollgate_guard_lease_remaining_seconds",
        "Seconds until the lease ends, unless a sync renews it; 0 without a lease",
        lambda: lease.remaining_s,
        "livemin",
    )
    readings.show(
        "pollgate_guard_lag_seconds",
        "For how long the guard has known of changes that it has not applied",
        lambda: follower.lag_s,
        "livemax",
    )
    readings.show(
        "pollgate_guard_subscribed",
        "1 while changes arrive over Redis, 0 while they arrive with syncs only",
        lambda: feed.is_live,
        "livemin",
    )
    for kind, read in {"grant": lambda: guard.cached_grants, "refusal": lambda: guard.cached_refusals}.items():
        readings.show(
            "pollgate_guard_cache_entries",
            "Tokens in the cache: with a grant, or known not to work",
            read,
            labels={"kind": kind},
        )
