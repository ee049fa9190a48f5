"""Count and time requests by route, method and class of status."""

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry, Histogram

from shared.runtime.process.metrics import SampledMetrics

BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
OTHER_METHOD: Final = "other"
"""The label of a method that no RFC defines: a client may send any."""

Observe = Callable[[str, int, float], None]
"""Record a request by its method, its status and its duration in seconds."""


class RequestMetrics(SampledMetrics):
    """The metrics of requests. They are counted here, and passed on when they are read: that takes a third of the time.

    Create one instance per application. Nothing is shown until `register` is called.
    """

    def __init__(self) -> None:
        self._histogram = BatchedHistogram(
            "pollgate_http_request_seconds",
            "Duration of requests, up to the response or to the beginning of a stream, without the time for sending it",
            ["route", "method", "status"],
            buckets=BUCKETS_S,
            registry=None,
        )
        self._counts: dict[tuple[str, str, str], _Counts] = {}

    def register(self, registry: CollectorRegistry) -> None:
        """Show the metrics in a registry."""
        registry.register(self)
        registry.register(self._histogram)

    def of(self, route: str) -> Observe:
        """Return a function that records a request to this route, by its template."""
        known: dict[tuple[str, int], _Counts] = {}

        def observe(method: str, status: int, seconds: float) -> None:
            counts = known.get((method, status))
            if counts is None:
                counts = self._counts_of(route, method, status)
                if method in hdrs.METH_ALL:
                    known[method, status] = counts
            counts.seconds += seconds
            counts.by_bucket[bisect_left(BUCKETS_S, seconds)] += 1

        return observe

    def update(self) -> None:
        """Pass on what was counted since the last time."""
        for labels, counts in self._counts.items():
            if any(counts.by_bucket):
                self._histogram.labels(*labels).observe_many(counts.by_bucket, counts.seconds)
                counts.reset()

    def _counts_of(self, route: str, method: str, status: int) -> "_Counts":
        labels = (route, method if method in hdrs.METH_ALL else OTHER_METHOD, f"{status // 100}xx")
        return self._counts.setdefault(labels, _Counts())


REQUEST_METRICS: Final = web.AppKey("request_metrics", RequestMetrics)
"""The metrics of requests, if the application counts them."""


class BatchedHistogram(Histogram):
    """A histogram that takes many observations at once."""

    def observe_many(self, by_bucket: list[int], total: float) -> None:
        """Add the number of observations in each bucket, the last one without a bound, and their sum."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, by_bucket, strict=True):
            if count:
                bucket.inc(count)


class _Counts:
    """What was counted of the requests with the same labels."""

    __slots__ = ("by_bucket", "seconds")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.by_bucket = [0] * (len(BUCKETS_S) + 1)
        self.seconds = 0.0
