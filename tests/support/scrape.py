"""Read what a service shows under `/metrics`."""

from collections.abc import Mapping
from typing import NamedTuple

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.stack import Caller


class Scrape(NamedTuple):
    """The metrics of a service at one moment."""

    families: tuple[Metric, ...]

    def value(self, name: str, labels: Mapping[str, str] = {}) -> float:
        """Return the sum of the samples with this name and these labels; 0 if there is none."""
        return sum(
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    @property
    def labels_by_name(self) -> dict[str, set[str]]:
        """The names of the labels of each sample, by its name."""
        found: dict[str, set[str]] = {}
        for family in self.families:
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
        return found

    @property
    def label_values(self) -> set[str]:
        """The values of all labels."""
        return {text for family in self.families for sample in family.samples for text in sample.labels.values()}


async def scrape(caller: Caller) -> Scrape:
    """Return what the service of `caller` shows."""
    answer = await caller("GET", "/metrics")
    assert answer.status == 200, answer.body
    return Scrape(tuple(text_string_to_metric_families(answer.body.decode())))
