"""Count and time SQL statements by the name that they begin with, `-- name: sentence`, and waits for connections."""

import re
from typing import Final

from prometheus_client import CollectorRegistry, Histogram

UNNAMED: Final = "unnamed"

_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_NAME: Final = re.compile(r"\s*-- ([a-z0-9_]{1,60}):")
_MAX_CACHED: Final = 1000
"""Statements whose name is cached. Statements that are built from conditions have many texts."""


def name_of(query: str) -> str:
    """Return the name that a statement begins with."""
    name = _NAME.match(query)
    return name[1] if name else UNNAMED


class QueryMetrics:
    """The metrics of one database. Without a registry, they are not published."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._seconds = Histogram(
            "pollgate_database_statement_seconds",
            "Duration of statements, successful or not, without the wait for a connection",
            ["query"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.wait_s = Histogram(
            "pollgate_database_connection_wait_seconds",
            "Time for which statements and transactions waited for a connection, without those that got one at once",
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._by_query: dict[str, Histogram] = {}

    def of(self, query: str) -> Histogram:
        """Return the histogram of this statement."""
        found = self._by_query.get(query)
        if found is None:
            if len(self._by_query) >= _MAX_CACHED:
                self._by_query.clear()
            found = self._by_query[query] = self._seconds.labels(name_of(query))
        return found
