"""Count the statements that a service sends to PostgreSQL, by its `/metrics`."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prometheus_client.parser import text_string_to_metric_families

from tests.support.stack import Caller

_METRIC = "pollgate_database_statement_seconds"


@asynccontextmanager
async def count_statements(caller: Caller) -> AsyncGenerator[Counter[str], None]:
    """Count the statements that the service of `caller` runs during the block, by name.

    The counter is filled at the end of the block. Statements of background tasks count too.
    """
    before = await _statements(caller)
    counted: Counter[str] = Counter()
    yield counted
    counted.update(await _statements(caller) - before)


async def _statements(caller: Caller) -> Counter[str]:
    answer = await caller("GET", "/metrics")
    assert answer.status == 200, answer.body
    families = text_string_to_metric_families(answer.body.decode())
    samples = [sample for family in families if family.name == _METRIC for sample in family.samples]
    counts = [sample for sample in samples if sample.name == f"{_METRIC}_count"]
    return Counter({sample.labels["query"]: int(sample.value) for sample in counts})
