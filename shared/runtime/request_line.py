"""What every request goes through first: its id, a bounded body, a deadline, the safe headers and one line of log.

The log line says the route's template, never the URL: a query may carry a secret in any encoding.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from shared.runtime.health import HEALTH_ROUTES
from shared.runtime.metrics import METRICS_ROUTE
from shared.runtime.problem import BadRequest, ProblemTable, UnsupportedMediaType, problems
from shared.runtime.request_id import REQUEST_ID, request_id_of
from shared.runtime.secret import Redact

MAX_BODY_BYTES: Final = 64 * 1024
BODY_LIMIT_S: Final = 10.0
"""How long a caller may take to send its body."""
HANDLING_LIMIT_S: Final = 2.5
"""How long a request may take from there to its answer."""
QUIET_ROUTES: Final = HEALTH_ROUTES | {METRICS_ROUTE}
"""What is asked every few seconds and would fill the log, where all is well."""

SAFE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Server": "pollgate",
}

_log = structlog.get_logger()


def new_application(
    table: ProblemTable,
    redact: Redact,
    *,
    quiet: Collection[str] = (),
    oauth: Collection[str] = (),
    faces: Mapping[str, ProblemTable] = {},
) -> web.Application:
    """An application whose requests are bounded, logged, and told their errors as problems by `table`.

    Routes in `quiet` are logged only where they fail, as are `QUIET_ROUTES`; those in `oauth` tell OAuth errors, and
    those in `faces` tell errors by their own table first.
    """
    line, told = _request_line(redact, QUIET_ROUTES | set(quiet)), problems(table, frozenset(oauth), faces)
    app = web.Application(
        middlewares=[line, told, _bounded_body, _bounded_time],
        client_max_size=MAX_BODY_BYTES,
    )
    app.on_response_prepare.append(_add_headers)
    return app


def _request_line(redact: Redact, quiet: Collection[str]) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = request_id_of(request, redact)
        request[REQUEST_ID] = request_id
        status = 500
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                response = await handler(request)
                status = response.status
                if response.content_type == "application/problem+json":
                    _redact_problem(response, redact)
            finally:
                log = _log.debug if status < 400 and route_template(request) in quiet else _log.info
                log(
                    "request",
                    method=request.method if request.method.isalpha() else "?",
                    route=route_template(request),
                    status=status,
                    duration_ms=round((time.perf_counter() - started) * 1000, 2),
                    **request.get(_FIELDS, {}),
                )
        return response

    return middleware


_FIELDS: Final = web.RequestKey("log_fields", dict[str, object])


def add_to_line(request: web.Request, **fields: object) -> None:
    """What a handler or an inner middleware wants in the request's log line too."""
    request[_FIELDS] = {**request.get(_FIELDS, {}), **fields}


def route_template(request: web.Request) -> str:
    """The route as it was declared, `/x1/{endpoint}`, or `unmatched`."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


@web.middleware
async def _bounded_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            if (request.content_length or 0) > MAX_BODY_BYTES:
                raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, request.content_length or 0)
            if request.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise UnsupportedMediaType("A body is read as it is; send it without a Content-Encoding.")
            await request.read()
    except web.RequestPayloadError:
        raise BadRequest("The body is not framed as its headers say.") from None
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return await handler(request)


_DEADLINE: Final = web.RequestKey("deadline", asyncio.Timeout)


@web.middleware
async def _bounded_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    async with asyncio.timeout(HANDLING_LIMIT_S) as request[_DEADLINE]:
        return await handler(request)


def allow_more_time(request: web.Request, seconds: float) -> None:
    """Let the request take so much longer than `HANDLING_LIMIT_S`, from now."""
    request[_DEADLINE].reschedule(asyncio.get_running_loop().time() + HANDLING_LIMIT_S + seconds)


def allow_any_time(request: web.Request) -> None:
    """Let the request take as long as it does, as one does whose answer goes on; its handler bounds each step."""
    if _DEADLINE in request:
        request[_DEADLINE].reschedule(None)


def _redact_problem(response: web.StreamResponse, redact: Redact) -> None:
    """A problem may repeat what was sent, in the wrong place also a secret."""
    if isinstance(response, web.Response) and isinstance(response.body, bytes):
        response.body = redact(response.body.decode()).encode()
    for name, value in list(response.headers.items()):
        response.headers[name] = redact(value)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SAFE_HEADERS)
    if REQUEST_ID in request:
        response.headers["X-Request-ID"] = request[REQUEST_ID]
