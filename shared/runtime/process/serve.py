"""Run a service until SIGTERM or SIGINT, and let requests in flight finish before the process ends."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, cast

import msgspec
import structlog
import uvloop
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from shared.runtime.http.application import SAFE_HEADERS
from shared.runtime.http.metrics import METRICS
from shared.runtime.http.problem import INTERNAL_PROBLEM, Problem, problem_for, problem_response
from shared.runtime.http.problem_types import EXPECTATION_FAILED, MALFORMED_REQUEST
from shared.runtime.http.request_id import REQUEST_ID, X_REQUEST_ID, new_request_id
from shared.runtime.http.response_hooks import finish_response, response_hooks
from shared.runtime.http.routes import ROUTE_WRAPPER, find_unlisted_routes
from shared.runtime.http.whole_response import WholeResponse
from shared.runtime.postgres.database import DatabaseUnavailable
from shared.runtime.postgres.migrations import NotMigrated
from shared.runtime.process.connections import ConnectionLimits, LimitedConnection, OpenConnections
from shared.runtime.process.environment import SettingsError, describe_settings, read_settings
from shared.runtime.process.logs import configure_logs
from shared.runtime.process.redaction import Redact
from shared.runtime.process.supervise import FATAL
from shared.runtime.process.workers import is_worker, run_workers

DRAIN_LIMIT_S: Final = 5.0
"""The time that requests in flight have after SIGTERM."""
KEEPALIVE_S: Final = 75.0
RESPONSE_LIMIT_S: Final = 60.0
"""The time that a client has to read a response, unless it is a stream."""

_log = structlog.get_logger()


class CannotStart(Exception):
    """The service cannot start. The message is for the operator."""


S = TypeVar("S", bound=msgspec.Struct)


def run_service(name: str, kind: type[S], build: Callable[[S], web.Application], redact: Redact) -> None:
    """Read the settings, configure logs, serve until stopped, and exit the process with its status.

    `kind` is the Struct of the settings, with the fields `<name>_host`, `<name>_port`, `<name>_workers`,
    `max_connections` and `trusted_proxy_hops`.
    """
    if "--help" in sys.argv:
        sys.stdout.write(f"Run the service {name}. Settings, each also as NAME_FILE:\n{describe_settings(kind)}\n")
        return
    configure_logs(name, redact)
    prefix = name.replace("-", "_")
    try:
        settings = read_settings(kind, os.environ)
        host, port, workers = (getattr(settings, f"{prefix}_{field}") for field in ("host", "port", "workers"))
        if workers > 1 and not is_worker():
            sys.exit(run_workers(workers))
        limits = ConnectionLimits.of(settings.max_connections, settings.trusted_proxy_hops)  # type: ignore[attr-defined]
        status = uvloop.run(_serve(name, build(settings), host, port, limits))
    except (SettingsError, CannotStart, DatabaseUnavailable, NotMigrated) as error:
        sys.exit(f"{name} cannot start: {error}")
    sys.exit(status)


async def _serve(name: str, app: web.Application, host: str, port: int, limits: ConnectionLimits) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if is_worker():
        loop.add_reader(sys.stdin.fileno(), stop.set)
    async with listen(app, host, port, limits, shared=is_worker()) as bound:
        _log.info("serving", host=host, port=bound)
        gc.collect()
        gc.freeze()  # what was made for the start stays, and need not be searched for garbage again
        waits = [asyncio.create_task(event.wait()) for event in (stop, app[FATAL])]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
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
) -> AsyncGenerator[int, None]:
    """Serve `app` during the block within the limits of connections, and yield the port, a free one for port 0.

    Other processes of the same user may listen on a `shared` port too. Disconnect a client that has not read a
    response after `response_limit_s`. Raise `CannotStart` if the port is in use.
    """
    app[FATAL] = asyncio.Event()
    runner = _Runner(
        app,
        OpenConnections(limits or ConnectionLimits(), app.get(METRICS)),
        response_limit_s,
        access_log=None,
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=DRAIN_LIMIT_S,
        auto_decompress=False,
        handle_signals=False,
    )
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


_MALFORMED: Final = Problem(MALFORMED_REQUEST, "The request is not well-formed HTTP/1.1, or a line is too long.")


class _Connection(LimitedConnection):
    """Respond to malformed HTTP without repeating it, in the response or in the log: it may contain a secret."""

    __slots__ = ("_response_limit_s",)

    def __init__(self, server: "_Server", **options: Any) -> None:
        super().__init__(server, server.open_connections, **options)
        self._response_limit_s = server.response_limit_s

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        problem, request_id = _MALFORMED, new_request_id()
        if status >= 500:
            problem = INTERNAL_PROBLEM
            _log.error("request failed", exc_info=exc, request_id=request_id)
        else:
            _log.warning("malformed request", status=status, error=type(exc).__name__, request_id=request_id)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the response has been sent")
        response = _error_response(problem, request_id)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if type(resp) is WholeResponse and resp.may_be_sent_by(request) and not self._upgraded:
            try:
                await resp.send(request)
            except ConnectionError:
                return resp, True
            return resp, False
        if isinstance(resp, web.HTTPException):
            resp = _refuse_unrouted(request, resp)
        try:
            async with asyncio.timeout(self._response_limit_s):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()  # discards what is buffered
            return resp, True


def _refuse_unrouted(request: web.BaseRequest, refusal: web.HTTPException) -> web.Response:
    """Return the response to a request that reached no handler: for an unknown `Expect` header, or a target like `*`.

    aiohttp's response would repeat the header.
    """
    problem = problem_for(refusal, {})
    if refusal.status == web.HTTPExpectationFailed.status_code:
        detail = "Unsupported Expect header: expected '100-continue' or no such header."
        problem = Problem(EXPECTATION_FAILED, detail, status=refusal.status)
    request_id = new_request_id()
    _log.warning("request refused before routing", status=problem.status, request_id=request_id)
    response = _error_response(problem, request_id)
    if isinstance(request, web.Request) and ROUTE_WRAPPER in request.app:
        request[REQUEST_ID] = request_id
        finish_response(request, response, response_hooks(request.app))
    return response


def _error_response(problem: Problem, request_id: str) -> web.Response:
    """Return a response for a request that reached no handler, with the headers that one would add."""
    response = problem_response(problem, request_id)
    response.headers.update({**SAFE_HEADERS, X_REQUEST_ID: request_id})
    return response


class _Server(web.Server):
    open_connections: OpenConnections
    response_limit_s: float

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    def __init__(
        self, app: web.Application, connections: OpenConnections, response_limit_s: float, **options: Any
    ) -> None:
        super().__init__(app, **options)
        self._open_connections = connections
        self._response_limit_s = response_limit_s

    async def _make_server(self) -> web.Server:
        # aiohttp has no setting for the class of connections.
        server = await super()._make_server()
        server.__class__ = _Server
        cast(_Server, server).open_connections = self._open_connections
        cast(_Server, server).response_limit_s = self._response_limit_s
        return server
