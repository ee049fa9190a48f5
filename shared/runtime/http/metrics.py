"""Mount `/metrics` in the Prometheus text format, from a registry of the application."""

import os
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.routes import PUBLIC, Route, add_routes

METRICS: Final = web.AppKey("metrics", CollectorRegistry)
TEXT_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"
SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable with the folder in which the workers of a service store their metrics, so that each shows the sum."""


def add_metrics(app: web.Application) -> None:
    """Mount the route. Metrics are registered in `app[METRICS]`."""
    shown = app[METRICS] = CollectorRegistry()
    if SHARED_FOLDER in os.environ:
        shown = CollectorRegistry()
        MultiProcessCollector(shown)  # type: ignore[no-untyped-call]

    async def show(_request: web.Request) -> web.Response:
        """Return the text format in any case: prometheus-client's handler fails on malformed Accept headers."""
        return web.Response(body=generate_latest(shown), headers={"Content-Type": TEXT_FORMAT})

    add_routes(app, [Route("GET", "/metrics", Endpoint(show), PUBLIC, logs_success=False)])
