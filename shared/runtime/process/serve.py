"""Run a service until SIGTERM or SIGINT, and let requests in flight finish before the process ends."""

import asyncio
import gc
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
import structlog
import uvloop
from aiohttp import web

from shared.runtime.http.metrics import METRICS
from shared.runtime.http.routes import ROUTE_WRAPPER, find_unlisted_routes
from shared.runtime.postgres.database import DatabaseUnavailable
from shared.runtime.postgres.migrations import NotMigrated
from shared.runtime.process.connection_limits import ConnectionLimits, OpenConnections
from shared.runtime.process.connections import RESPONSE_LIMIT_S, Runner
from shared.runtime.process.environment import SettingsError, describe_settings, read_settings
from shared.runtime.process.logs import configure_logs
from shared.runtime.process.redaction import Redact
from shared.runtime.process.stop import STOPPING, Stop, announce_stop
from shared.runtime.process.supervise import FATAL
from shared.runtime.process.workers import is_worker, run_workers
from shared.runtime.traces.current import use_traces
from shared.runtime.traces.start import start_traces

_log = structlog.get_logger()


class CannotStart(Exception):
    """The service cannot start. The message is for the operator."""


S = TypeVar("S", bound=msgspec.Struct)


def run_service(name: str, kind: type[S], build: Callable[[S], web.Application], redact: Redact) -> None:
    """Read the settings, configure logs, serve until stopped, and exit the process with its status.

    `kind` is the Struct of the settings, with the fields `<name>_host`, `<name>_port`, `<name>_workers`,
    `shutdown_grace_s`, `max_connections` and `trusted_proxy_hops`.
    """
    if "--help" in sys.argv:
        sys.stdout.write(f"Run the service {name}. Settings, each also as NAME_FILE:\n{describe_settings(kind)}\n")
        return
    configure_logs(name, redact)
    prefix = name.replace("-", "_")
    try:
        settings = read_settings(kind, os.environ)
        host, port, workers = (getattr(settings, f"{prefix}_{field}") for field in ("host", "port", "workers"))
        grace_s: float = getattr(settings, "shutdown_grace_s")  # noqa: B009 - a Struct in general has no such field
        if workers > 1 and not is_worker():
            sys.exit(run_workers(workers))
        limits = ConnectionLimits.of(settings.max_connections, settings.trusted_proxy_hops)  # type: ignore[attr-defined]
        with use_traces(start_traces(name, os.environ)):
            status = uvloop.run(_serve(name, build(settings), host, port, limits, grace_s))
    except (SettingsError, CannotStart, DatabaseUnavailable, NotMigrated) as error:
        sys.exit(f"{name} cannot start: {error}")
    sys.exit(status)


async def _serve(
    name: str, app: web.Application, host: str, port: int, limits: ConnectionLimits, grace_s: float
) -> int:
    stop = Stop(grace_s)
    stop.follow_signals(as_worker=is_worker())
    async with listen(app, host, port, limits, shared=is_worker(), stop=stop) as bound:
        _log.info("serving", host=host, port=bound)
        gc.collect()
        gc.freeze()  # what was made for the start stays, and need not be searched for garbage again
        waits = [asyncio.create_task(event.wait()) for event in (stop.requested, app[FATAL])]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if app[FATAL].is_set():
            stop.request(with_grace=False)
        await announce_stop(app, stop)
        _log.info("draining")
    _log.info("stopped", service=name)
    return 1 if app[FATAL].is_set() else 0


@asynccontextmanager
async def listen(
    app: web.Application,
    host: str,
    port: int,
    limits: ConnectionLimits | None = None,
    *,
    shared: bool = False,
    response_limit_s: float = RESPONSE_LIMIT_S,
    stop: Stop | None = None,
) -> AsyncGenerator[int, None]:
    """Serve `app` during the block within the limits of connections, and yield the port, a free one for port 0.

    Other processes of the same user may listen on a `shared` port too. Disconnect a client that has not read a
    response after `response_limit_s`. At the end, let running requests finish, unless `stop` is urgent. Raise
    `CannotStart` if the port is in use.
    """
    app[FATAL], app[STOPPING] = asyncio.Event(), asyncio.Event()
    open_connections = OpenConnections(limits or ConnectionLimits(), app.get(METRICS))
    runner = Runner(app, stop or Stop(), open_connections, response_limit_s)
    try:
        await runner.setup()
        if ROUTE_WRAPPER in app and (unlisted := find_unlisted_routes(app)):
            raise CannotStart(
                f"{', '.join(unlisted)}: mount each route by add_routes, which adds limits and access rules"
            )
        try:
            await web.TCPSite(runner, host, port, reuse_port=shared).start()
        except OSError as error:
            raise CannotStart(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
