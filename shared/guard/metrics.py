"""What a guard counts. Times are of the guard's own clocks, but for the push delay, which compares two machines'."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_FAST_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class GuardMetrics:
    """One a guard, in the registry that its process shows under `/metrics`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._cache = Counter(
            "pollgate_guard_cache",
            "Look-ups: hit; miss; stale, where the lease was out; bypassed, where no-cache was asked for",
            ["result"],
            registry=registry,
        )
        self.hit, self.miss, self.stale, self.bypassed = map(self._cache.labels, ("hit", "miss", "stale", "bypassed"))
        self.stale_answers = Counter(
            "pollgate_guard_stale_answers",
            "Introspection answers not used, for they may be older than a change",
            registry=registry,
        )
        self.lease_held = Gauge(
            "pollgate_guard_lease_held",
            "1 while the cache may be used, 0 while each token is introspected",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.lag = Gauge(
            "pollgate_guard_lag_changes",
            "Changes known to exist and not yet applied",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.degraded_s = Counter("pollgate_guard_degraded_seconds", "Time without a lease", registry=registry)
        self.sync_s = Histogram(
            "pollgate_guard_sync_seconds", "Syncs that succeeded", buckets=_FAST_S, registry=registry
        )
        self.sync_failures = Counter("pollgate_guard_sync_failures", "Syncs that failed", registry=registry)
        self.push_delay_s = Histogram(
            "pollgate_guard_push_delay_seconds",
            "From a change's record at the authority to its application here, by the two machines' wall clocks",
            buckets=_FAST_S,
            registry=registry,
        )
        self.pushes_refused = Counter(
            "pollgate_guard_pushes_refused", "Messages on Redis that the authority has not signed", registry=registry
        )
