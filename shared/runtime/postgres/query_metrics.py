"""Counts and times what PostgreSQL is sent, by the names that statements begin with: `-- name: sentence`."""

import re
from typing import Final

from prometheus_client import CollectorRegistry, Histogram

UNNAMED: Final = "unnamed"

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_NAME: Final = re.compile(r"\s*-- ([a-z0-9_]{1,60}):")
_KEPT: Final = 1000
"""Texts whose names are remembered; statements that are put together from conditions have many."""


class QueryMetrics:
    """One a database, in the registry that its process shows; in none, it counts for nobody."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._seconds = Histogram(
            "pollgate_database_statement_seconds",
            "QueryMetrics that ended, well or not, from sending to the result, without the wait for a connection",
            ["query"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._by_query: dict[str, Histogram] = {}

    def of(self, query: str) -> Histogram:
        """Where to count this statement."""
        found = self._by_query.get(query)
        if found is None:
            if len(self._by_query) >= _KEPT:
                self._by_query.clear()
            name = _NAME.match(query)
            found = self._by_query[query] = self._seconds.labels(name[1] if name else UNNAMED)
        return found
