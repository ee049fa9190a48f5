"""Mount `/metrics` in the Prometheus text format, from a registry of the application, for some networks only."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from shared.runtime.http.application import add_log_fields
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.operator_networks import PRIVATE_NETWORKS, is_from, read_networks
from shared.runtime.http.request_metrics import REQUEST_METRICS
from shared.runtime.http.routes import PUBLIC, Excess, Route, add_routes
from shared.runtime.process.metrics import MetricsRegistry, is_one_of_several, register_process_metrics

METRICS: Final = web.AppKey("metrics", MetricsRegistry)
TEXT_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"
UPDATE_EVERY_S: Final = 1.0
"""How old the metrics of a worker may be in a scrape that another one answers."""


def add_metrics(app: web.Application, networks: str = PRIVATE_NETWORKS) -> None:
    """Mount the route. Metrics are registered in `app[METRICS]`, which has those of requests and of the process.

    A request from outside the networks is 404, and so is one that a proxy has forwarded from outside. Raise
    `SettingsError` if `networks` cannot be read.
    """
    allowed = read_networks(networks)
    registry = app[METRICS] = MetricsRegistry()
    register_process_metrics(registry)
    if REQUEST_METRICS in app:
        app[REQUEST_METRICS].register(registry)
    shown: CollectorRegistry = registry
    if is_one_of_several():
        shown = CollectorRegistry()
        MultiProcessCollector(shown)  # type: ignore[no-untyped-call]
        app.cleanup_ctx.append(_update_regularly)

    async def show(request: web.Request) -> web.Response:
        """Return the text format in any case: prometheus-client's handler fails on malformed Accept headers."""
        if not is_from(request, allowed):
            add_log_fields(request, refused="an address is outside METRICS_NETWORKS")
            raise web.HTTPNotFound
        if shown is not registry:
            registry.update()
        return web.Response(body=generate_latest(shown), headers={"Content-Type": TEXT_FORMAT})

    route = Route("GET", "/metrics", Endpoint(show), PUBLIC, logs_success=False, is_traced=False, excess=Excess.REFUSE)
    add_routes(app, [route])


async def _update_regularly(app: web.Application) -> AsyncGenerator[None, None]:
    """Bring the metrics of this worker up to date while it runs."""

    async def update() -> None:
        while True:
            await asyncio.sleep(UPDATE_EVERY_S)
            app[METRICS].update()

    task = asyncio.create_task(update(), name="metrics")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        app[METRICS].update()
