"""Create an application that gives each request an id, limits, safe headers and one log line.

The log line contains the route's template, never the URL: a query may contain a secret in any encoding.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from multidict import istr

from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.large_requests import LargeRequests, TooManyLargeRequests
from shared.runtime.http.large_responses import LargeResponses, TooManyLargeResponses
from shared.runtime.http.open_requests import OpenRequestLimit, TooManyOpenRequests
from shared.runtime.http.problem import (
    OAUTH_JSON,
    PROBLEM_JSON,
    RUNTIME_PROBLEMS,
    BadRequest,
    Problem,
    ProblemTable,
    oauth_media_type,
    problem_for,
    problem_response,
    redirect_response,
    unavailable,
)
from shared.runtime.http.problem_types import REQUEST_ENTITY_TOO_LARGE, TOO_MANY_REQUESTS, UNSUPPORTED_MEDIA_TYPE
from shared.runtime.http.request_id import REQUEST_ID, X_REQUEST_ID, request_id_of
from shared.runtime.http.request_metrics import REQUEST_METRICS, RequestMetrics
from shared.runtime.http.response_hooks import (
    STREAM_BEGAN,
    ResponseHook,
    add_response_hook,
    finish_response,
    response_hooks,
)
from shared.runtime.http.routes import HANDLING_LIMIT_S, PUBLIC, ROUTE_WRAPPER, Excess, Route, RouteWrapper, mount_route
from shared.runtime.http.type_names import shorten
from shared.runtime.http.unmatched import ANY_PATH, refuse_unmatched
from shared.runtime.process.logs import CURRENT_REQUEST_ID, log_request
from shared.runtime.process.redaction import Redact
from shared.runtime.process.time_limit import TimeLimits
from shared.runtime.traces.current import current_traces

BODY_LIMIT_S: Final = 10.0
"""The time for receiving a request's body."""

SAFE_HEADERS: Final[Mapping[str, str]] = {
    istr("Referrer-Policy"): "no-referrer",
    istr("X-Content-Type-Options"): "nosniff",
    hdrs.SERVER: "pollgate",
}


class BodyTooLarge(Exception):
    """The body exceeds the limit of its route: 413."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {_size(limit)}, the limit of this route.")


class UnsupportedCoding(Exception):
    """The body has a `Content-Encoding` (RFC 9110 §8.4): 415."""


_PROBLEMS: Final[ProblemTable] = {
    BodyTooLarge: lambda e: Problem(REQUEST_ENTITY_TOO_LARGE, str(e)),
    TooManyLargeRequests: lambda _: unavailable("Too many large bodies are being received at the moment; try again."),
    TooManyLargeResponses: lambda _: unavailable("Too many large responses are being sent at the moment; try again."),
    TooManyOpenRequests: lambda e: Problem(TOO_MANY_REQUESTS, str(e), headers={hdrs.RETRY_AFTER: str(e.retry_after_s)}),
    UnsupportedCoding: lambda e: Problem(UNSUPPORTED_MEDIA_TYPE, str(e), headers={"Accept-Encoding": "identity"}),
}


def create_application(
    table: ProblemTable,
    redact: Redact,
    *,
    body_limit_s: float = BODY_LIMIT_S,
    open_requests: OpenRequestLimit | None = None,
) -> web.Application:
    """Return an application that limits and logs its requests, and reports errors as problems by `table`.

    A request's body has to arrive within `body_limit_s`. `open_requests` limits an address on open routes. Limits,
    logging and errors of a single route are columns of its `Route`. There are no middlewares: each route is mounted as
    one handler that does all of this.
    """
    app, limits, metrics = web.Application(), TimeLimits(), RequestMetrics()
    app[_LIMITS] = limits
    app[REQUEST_METRICS] = metrics
    app[ERROR_VIEW] = ErrorView()
    app[ROUTE_WRAPPER] = _Frame(
        {**RUNTIME_PROBLEMS, **_PROBLEMS, **table},
        redact,
        limits,
        metrics,
        response_hooks(app),
        body_limit_s,
        open_requests,
    )
    add_response_hook(app, _add_headers)
    app.on_startup.append(_mount_unmatched)
    return app


async def _mount_unmatched(app: web.Application) -> None:
    """Mount the route for requests that match no other. It has to be the last one, so it is mounted at the start."""
    if app.on_response_prepare:
        raise RuntimeError("use add_response_hook: not every response of this application sends aiohttp's signal")
    mount_route(
        app,
        Route(hdrs.METH_ANY, "unmatched", Endpoint(refuse_unmatched), PUBLIC, excess=Excess.REFUSE),
        hdrs.METH_ANY,
        ANY_PATH,
    )


class _Frame(RouteWrapper):
    """Gives each request an id, limits and one log line, and reports errors as problems."""

    def __init__(
        self,
        table: ProblemTable,
        redact: Redact,
        limits: TimeLimits,
        metrics: RequestMetrics,
        hooks: Sequence[ResponseHook],
        body_limit_s: float,
        open_requests: OpenRequestLimit | None,
    ) -> None:
        self._table = table
        self._redact = redact
        self._limits = limits
        self._metrics = metrics
        self._hooks = hooks
        self._body_limit_s = body_limit_s
        self._open_requests = open_requests
        self._large_requests = LargeRequests()
        self._large_responses = LargeResponses()

    def wrap(self, route: Route, handler: Handler) -> Handler:
        """Return the handler to mount."""
        limited = route.access.limit_bodies(self._limit(route, handler))
        if route.excess and self._open_requests:
            limited = self._open_requests.wrap(route.excess, limited)
        if not route.is_traced:
            return self._respond(route, limited)
        traces = current_traces()
        respond = self._respond(route, traces.note_span_in_log(limited))
        return traces.trace_requests(route.path, respond, self._redact)

    def _respond(self, route: Route, handler: Handler) -> Handler:
        redact, large_responses, hooks = self._redact, self._large_responses, self._hooks
        refusals = None if route.excess else self._open_requests
        table, observe = {**self._table, **route.problem_table}, self._metrics.of(route.path)

        async def respond(request: web.Request) -> web.StreamResponse:
            started = time.perf_counter()
            request_id = request[REQUEST_ID] = request_id_of(request, redact)
            fields: dict[str, object] = {}
            request[_FIELDS] = fields
            CURRENT_REQUEST_ID.set(request_id)  # for this request only: aiohttp runs each one in a task of its own
            status, began = 500, None
            try:
                try:
                    response = await handler(request)
                    large_responses.limit(request, response)
                except web.HTTPRedirection as redirect:
                    response = redirect_response(redirect)
                except Exception as error:  # noqa: BLE001 - the caller must not see an unexpected error
                    response = _problem_response(request, route, problem_for(error, table))
                status = response.status
                if refusals and status >= 300:
                    await refusals.slow_down_refusal(request, status)
                if status >= 400:
                    response = await _finish_error(request, response, redact)
                if response.prepared:
                    began = request.get(STREAM_BEGAN)  # by `start_stream`
                else:
                    finish_response(request, response, hooks)
            finally:
                ended = time.perf_counter()
                observe(request.method, status, (began or ended) - started)
                if status >= 400 or route.logs_success:
                    log_request(request_id, request.method, route.path, status, ended - started, fields)
            return response

        return respond

    def _limit(self, route: Route, handler: Handler) -> Handler:
        """Return a handler that reads the body and then limits the time until the response."""
        limits, large_requests, body_limit, body_limit_s, limit_s = (
            self._limits,
            self._large_requests,
            route.body_limit,
            self._body_limit_s,
            route.time_limit_s,
        )

        async def handle_in_time(request: web.Request) -> web.StreamResponse:
            if request.can_read_body:
                await _read_body(request, body_limit, body_limit_s, large_requests)
            task = limits.start(limit_s)
            try:
                return await handler(request)
            except asyncio.CancelledError:
                limits.require_time_left(task)
                raise
            finally:
                limits.end(task)

        return handle_in_time


_FIELDS: Final = web.RequestKey("log_fields", dict[str, object])


def add_log_fields(request: web.Request, **fields: object) -> None:
    """Add fields to the request's log line, in an application made by `create_application`."""
    if _FIELDS in request:
        request[_FIELDS].update(fields)


def _problem_response(request: web.Request, route: Route, problem: Problem) -> web.StreamResponse:
    """Return the problem. If a stream has begun, cut it off, so that its client does not take it for complete."""
    if request.writer.output_size > 0 and request.transport is not None:
        request.transport.abort()
    if route.reports_oauth_errors:
        return problem_response(problem, request[REQUEST_ID], oauth=True, media_type=oauth_media_type(request))
    return problem_response(problem, request[REQUEST_ID])


class ErrorView:
    """How an application shows problems: as they are."""

    async def show(self, request: web.Request, response: web.Response) -> web.Response:
        """Return the representation of a redacted problem, with the same status."""
        return response


ERROR_VIEW: Final = web.AppKey("error_view", ErrorView)


async def _finish_error(request: web.Request, response: web.StreamResponse, redact: Redact) -> web.StreamResponse:
    if response.content_type not in (PROBLEM_JSON, OAUTH_JSON):
        return response
    _redact_problem(response, redact)
    if isinstance(response, web.Response) and response.content_type == PROBLEM_JSON:
        return await request.app[ERROR_VIEW].show(request, response)
    return response


_LIMITS: Final = web.AppKey("time_limits", TimeLimits)


async def _read_body(request: web.Request, limit: int, limit_s: float, large_requests: LargeRequests) -> None:
    """Read at most `limit` bytes and one chunk, also without a Content-Length header."""
    request._client_max_size = limit  # aiohttp has a limit per application, but none per route
    try:
        if (request.content_length or 0) > limit:
            raise BodyTooLarge(limit)
        if request.content.is_eof():  # the body has arrived
            body = await request.read()
        else:
            with large_requests.receive(request, limit):
                async with asyncio.timeout(limit_s):
                    body = await request.read()
        if body:
            _require_no_coding(request)
    except web.HTTPRequestEntityTooLarge:
        raise BodyTooLarge(limit) from None
    except web.RequestPayloadError:
        raise BadRequest("The body does not match its Content-Length or Transfer-Encoding header.") from None
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


def _require_no_coding(request: web.Request) -> None:
    """Raise `UnsupportedCoding` unless the body is sent as it is."""
    for text in ",".join(request.headers.getall(hdrs.CONTENT_ENCODING, ())).split(","):
        coding = text.strip(" \t").lower()
        if coding.startswith(_CHARSETS):
            name = coding.upper()
            raise UnsupportedCoding(f"{shorten(name)} is a charset, not a content coding; leave Content-Encoding out.")
        if coding not in ("", "identity"):
            raise UnsupportedCoding("Content-Encoding is not supported; send the body unencoded and leave it out.")


_CHARSETS: Final = ("utf", "us-ascii", "ascii", "iso-8859", "latin", "windows-", "cp125")


def _size(limit: int) -> str:
    for unit, name in ((1024 * 1024, "MiB"), (1024, "KiB")):
        if limit % unit == 0:
            return f"{limit // unit} {name}"
    return f"{limit} bytes"


def extend_deadline(request: web.Request, seconds: float) -> None:
    """Set the request's deadline to `HANDLING_LIMIT_S + seconds` from now."""
    request.app[_LIMITS].extend(HANDLING_LIMIT_S + seconds)


def disable_deadline(request: web.Request) -> None:
    """Remove the request's deadline, for a response of unknown length. Its handler has to limit each step."""
    if _LIMITS in request.app:
        request.app[_LIMITS].disable()


def _redact_problem(response: web.StreamResponse, redact: Redact) -> None:
    """Redact a problem: it may repeat input, which may contain a secret in the wrong place."""
    if isinstance(response, web.Response) and isinstance(response.body, bytes):
        response.body = redact(response.body.decode()).encode()
    for name, value in list(response.headers.items()):
        response.headers[name] = redact(value)


def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    headers = response.headers
    headers.update(SAFE_HEADERS)
    headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    headers[X_REQUEST_ID] = request[REQUEST_ID]
