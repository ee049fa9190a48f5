"""`/metrics` in the format of Prometheus, from a registry of the application's own."""

import os
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler
from prometheus_client.multiprocess import MultiProcessCollector

METRICS: Final = web.AppKey("metrics", CollectorRegistry)
METRICS_ROUTE: Final = "/metrics"
SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where several worker processes of one service keep what they count, so that each can show the sum."""


def add_metrics(app: web.Application) -> None:
    """Mount the route; what counts something registers with `app[METRICS]`."""
    shown = app[METRICS] = CollectorRegistry()
    if SHARED_FOLDER in os.environ:
        shown = CollectorRegistry()
        MultiProcessCollector(shown)  # type: ignore[no-untyped-call]
    app.router.add_get(METRICS_ROUTE, make_aiohttp_handler(shown))
