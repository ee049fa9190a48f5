"""The connections of a server: malformed requests, unread responses, limits, and their end at a stop."""

import asyncio
from typing import Any, Final, cast

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from shared.runtime.http.application import SAFE_HEADERS
from shared.runtime.http.problem import INTERNAL_PROBLEM, Problem, problem_for, problem_response
from shared.runtime.http.problem_types import EXPECTATION_FAILED, MALFORMED_REQUEST
from shared.runtime.http.request_id import REQUEST_ID, X_REQUEST_ID, new_request_id
from shared.runtime.http.response_hooks import finish_response, response_hooks
from shared.runtime.http.routes import ROUTE_WRAPPER
from shared.runtime.http.whole_response import WholeResponse
from shared.runtime.process.connection_limits import LimitedConnection, OpenConnections
from shared.runtime.process.stop import Stop

DRAIN_LIMIT_S: Final = 75.0
"""The time that running requests have after the listener has closed. Nearly all have a shorter limit of their own."""
CANCEL_LIMIT_S: Final = 0.5
"""The time that a request has to end after it was cancelled."""
SILENCE_S: Final = 1.0
"""After a grace period, an idle connection is closed if nothing has arrived on it for this time."""
KEEPALIVE_S: Final = 75.0
RESPONSE_LIMIT_S: Final = 60.0
"""The time that a client has to read a response, unless it is a stream."""

_CHECK_EVERY_S: Final = 0.02

_log = structlog.get_logger()

_MALFORMED: Final = Problem(MALFORMED_REQUEST, "The request is not well-formed HTTP/1.1, or a line is too long.")


class _Connection(LimitedConnection):
    """Respond to malformed HTTP without repeating it, in the response or in the log: it may contain a secret."""

    __slots__ = ("_received_at", "_response_limit_s")

    def __init__(self, server: "_Server", **options: Any) -> None:
        super().__init__(server, server.open_connections, **options)
        self._response_limit_s = server.response_limit_s
        self._received_at = self._loop.time()

    def data_received(self, data: bytes) -> None:
        self._received_at = self._loop.time()
        super().data_received(data)

    def close_if_idle(self, silence_s: float) -> None:
        """Close the connection if no request runs, and `silence_s` after a request has arrived or was responded to."""
        silent_since = max(self._received_at, self._next_keepalive_close_time - KEEPALIVE_S)
        if self.awaits_next_request and self._loop.time() - silent_since >= silence_s:
            self.force_close()

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

    def pre_shutdown(self) -> None:
        """Leave connections open: aiohttp would drop the rest of a body that is on its way. `drain` closes them."""

    async def drain(self, stop: Stop) -> None:
        """Wait until all connections are closed, up to `DRAIN_LIMIT_S`. Close each as soon as it is idle."""
        silence_s, ends_at = SILENCE_S if stop.grace_s else 0.0, self._loop.time() + DRAIN_LIMIT_S
        while True:
            connections = cast(list[_Connection], self.connections)
            for connection in connections:
                connection.close_if_idle(silence_s)
            if self._loop.time() >= ends_at or not any(connection.transport for connection in connections):
                return
            if await stop.wait_urgent(_CHECK_EVERY_S):
                return


class Runner(web.AppRunner):
    """Serves an application until `cleanup`, which lets running requests finish."""

    def __init__(
        self,
        app: web.Application,
        stop: Stop,
        open_connections: OpenConnections,
        response_limit_s: float = RESPONSE_LIMIT_S,
    ) -> None:
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            shutdown_timeout=CANCEL_LIMIT_S,
            auto_decompress=False,
            handle_signals=False,
        )
        self._stop = stop
        self._open_connections = open_connections
        self._response_limit_s = response_limit_s

    async def shutdown(self) -> None:
        """End the streams, and wait for requests. The listener has been closed."""
        await super().shutdown()
        await cast(_Server, self.server).drain(self._stop)

    async def _make_server(self) -> web.Server:
        # aiohttp has no setting for the class of connections.
        server = await super()._make_server()
        server.__class__ = _Server
        made = cast(_Server, server)
        made.open_connections, made.response_limit_s = self._open_connections, self._response_limit_s
        return server
