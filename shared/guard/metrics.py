"""The metrics of a guard.

Times are measured on the guard's own clock, except the push delay, which compares the wall clocks of two machines.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.runtime.process.metrics import SampledMetrics

_FAST_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class FrequentCounter(SampledMetrics):
    """Counts what happens in every request. prometheus-client takes a lock and three calls for each increment.

    A scrape of the registry, and `update`, bring the counter up to date. Register it before the counter.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._pending = 0

    def inc(self) -> None:
        """Count one."""
        self._pending += 1

    def update(self) -> None:
        """Bring the counter up to date."""
        pending, self._pending = self._pending, 0
        self._counter.inc(pending)


class GuardMetrics:
    """The metrics of a guard. Create one instance per guard, in the registry that `/metrics` shows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._cache = Counter(
            "pollgate_guard_cache",
            "Cache lookups: hit; miss; stale, if the guard had no lease; bypassed, if no-cache led to an introspection",
            ["result"],
            registry=None,
        )
        self.hit = FrequentCounter(self._cache.labels("hit"))
        self.miss, self.stale, self.bypassed = map(self._cache.labels, ("miss", "stale", "bypassed"))
        registry.register(self.hit)
        registry.register(self._cache)
        self.introspection_s = Histogram(
            "pollgate_guard_introspection_seconds",
            "Duration of introspections by result: active; inactive; failed, if the authority did not answer in time",
            ["result"],
            buckets=_FAST_S,
            registry=registry,
        )
        self.stale_answers = Counter(
            "pollgate_guard_stale_answers",
            "Introspection answers not used because they may be older than a change",
            registry=registry,
        )
        self.lease_held = Gauge(
            "pollgate_guard_lease_held",
            "1 while the guard may use its cache, 0 while it introspects every token",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.lag = Gauge(
            "pollgate_guard_lag_changes",
            "Changes that the guard knows to exist and has not applied yet",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.degraded_s = Counter("pollgate_guard_degraded_seconds", "Seconds without a lease", registry=registry)
        self.sync_s = Histogram(
            "pollgate_guard_sync_seconds", "Duration of syncs that succeeded", buckets=_FAST_S, registry=registry
        )
        self.sync_failures = Counter("pollgate_guard_sync_failures", "Syncs that failed", registry=registry)
        self.push_delay_s = Histogram(
            "pollgate_guard_push_delay_seconds",
            "Time from the commit of a change at the authority to its application, by the wall clocks of two machines",
            buckets=_FAST_S,
            registry=registry,
        )
        self.pushes_refused = Counter(
            "pollgate_guard_pushes_refused",
            "Messages on the Redis channel that the authority has not signed",
            registry=registry,
        )
