"""Metrics that are brought up to date when they are read, and those of every process: its resources and its version.

Several workers of a service store their metrics in one folder, and each shows the sum. A worker brings its own up to
date every second, because another one may answer the scrape.
"""

import os
import platform
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Gauge, Metric, ProcessCollector
from prometheus_client.registry import Collector

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable with the folder in which the workers of a service store their metrics, so that each shows the sum."""

_PROJECT_FILE: Final = Path(__file__).parents[3] / "pyproject.toml"


class SampledMetrics(Collector, ABC):
    """Metrics that cost too much to keep up to date. Register it before them."""

    @abstractmethod
    def update(self) -> None:
        """Bring the metrics up to date."""

    def collect(self) -> Iterable[Metric]:
        """Implement `Collector`: a scrape of the registry brings the metrics up to date."""
        self.update()
        return ()


OverWorkers = Literal["livesum", "livemax", "livemin", "mostrecent"]
"""What is shown of the values of several workers; `live` leaves out those of processes that have ended."""


class Readings(SampledMetrics):
    """Gauges that are read when they are shown: `Gauge.set_function`, for several workers too."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._gauges: dict[str, Gauge] = {}
        self._reads: list[tuple[Gauge, Callable[[], float]]] = []
        registry.register(self)

    def show(
        self,
        name: str,
        documentation: str,
        read: Callable[[], float],
        over_workers: OverWorkers = "livesum",
        labels: Mapping[str, str] = {},
    ) -> None:
        """Show what `read` returns as a gauge. Call it again with the same name for other values of its labels."""
        gauge = self._gauges.get(name) or Gauge(
            name, documentation, labels, registry=self._registry, multiprocess_mode=over_workers
        )
        self._gauges[name] = gauge
        self._reads.append((gauge.labels(**labels) if labels else gauge, read))

    def update(self) -> None:
        """Read every gauge."""
        for gauge, read in self._reads:
            gauge.set(read())


class MetricsRegistry(CollectorRegistry):
    """A registry that can bring its sampled metrics up to date without a scrape."""

    def __init__(self) -> None:
        super().__init__()
        self._sampled: list[SampledMetrics] = []

    def register(self, collector: Collector) -> None:
        """Add a collector."""
        if isinstance(collector, SampledMetrics):
            self._sampled.append(collector)
        super().register(collector)

    def update(self) -> None:
        """Bring the sampled metrics up to date."""
        for each in self._sampled:
            each.update()


def is_one_of_several() -> bool:
    """Return whether this process shares its metrics with other workers."""
    return SHARED_FOLDER in os.environ


def register_process_metrics(registry: CollectorRegistry) -> None:
    """Show the resources that the process uses, summed over the workers, and which version it is."""
    if is_one_of_several():
        registry.register(_WorkerResources(registry))
    else:
        ProcessCollector(registry=registry)
    build_info = Gauge(
        "pollgate_build_info",
        "1; the version of Pollgate and of Python in the labels",
        ["version", "python"],
        registry=registry,
        multiprocess_mode="livemax",
    )
    build_info.labels(find_version(), platform.python_version()).set(1)


def find_version() -> str:
    """Return the version of Pollgate: of the checkout or image, else of the installed package."""
    try:
        return str(tomllib.loads(_PROJECT_FILE.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError):
        pass
    try:
        return version("pollgate")
    except PackageNotFoundError:
        return "unknown"


class _WorkerResources(SampledMetrics):
    """The metrics of prometheus-client's `ProcessCollector`, of all workers together."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._own = ProcessCollector(registry=None)
        self._gauges = {
            metric.samples[0].name: Gauge(
                metric.samples[0].name,
                f"{metric.documentation} Of all workers together.",
                registry=registry,
                multiprocess_mode=_MODES.get(metric.samples[0].name, "livesum"),
            )
            for metric in self._own.collect()
        }

    def update(self) -> None:
        """Read what this worker uses."""
        for metric in self._own.collect():
            for sample in metric.samples:
                self._gauges[sample.name].set(sample.value)


_MODES: Final[Mapping[str, OverWorkers]] = {"process_start_time_seconds": "livemin"}
