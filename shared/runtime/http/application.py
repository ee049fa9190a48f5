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

from shared.runtime.http.health import HEALTH_ROUTES
from shared.runtime.http.metrics import METRICS_ROUTE
from shared.runtime.http.problem import BadRequest, Problem, ProblemTable, UnsupportedMediaType, problems
from shared.runtime.http.problem_types import REQUEST_ENTITY_TOO_LARGE
from shared.runtime.http.request_id import REQUEST_ID, request_id_of
from shared.runtime.process.redaction import Redact

MAX_BODY_BYTES: Final = 64 * 1024
"""How long a body may be where its route has no limit of its own."""
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


class BodyTooLarge(Exception):
    """The body is larger than its route reads: 413."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {_size(limit)}, which is as much as this route reads.")


_PROBLEMS: Final[ProblemTable] = {BodyTooLarge: lambda e: Problem(REQUEST_ENTITY_TOO_LARGE, str(e))}


def new_application(
    table: ProblemTable,
    redact: Redact,
    *,
    quiet: Collection[str] = (),
    oauth: Collection[str] = (),
    faces: Mapping[str, ProblemTable] = {},
    body_limits: Mapping[str, int] = {},
    body_limit_s: float = BODY_LIMIT_S,
) -> web.Application:
    """An application whose requests are bounded, logged, and told their errors as problems by `table`.

    Routes in `quiet` are logged only where they fail, as are `QUIET_ROUTES`; those in `oauth` tell OAuth errors, and
    those in `faces` tell errors by their own table first. `body_limits` are in bytes, by the templates of the routes
    whose limit is not `MAX_BODY_BYTES`. A body has to arrive within `body_limit_s`.
    """
    told = problems({**_PROBLEMS, **table}, frozenset(oauth), faces)
    line = _request_line(redact, QUIET_ROUTES | set(quiet))
    app = web.Application(middlewares=[line, told, _bounded_body(body_limits, body_limit_s), _bounded_time])
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


def _bounded_body(limits: Mapping[str, int], limit_s: float) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        await _read_body(request, limits.get(route_template(request), MAX_BODY_BYTES), limit_s)
        return await handler(request)

    return middleware


async def _read_body(request: web.Request, limit: int, limit_s: float) -> None:
    """Read no more than `limit` bytes and a piece, also where no header says how many will come."""
    request._client_max_size = limit  # aiohttp has a limit for the application, and none for a route
    try:
        async with asyncio.timeout(limit_s):
            if (request.content_length or 0) > limit:
                raise BodyTooLarge(limit)
            if request.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise UnsupportedMediaType("A body is read as it is; send it without a Content-Encoding.")
            await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise BodyTooLarge(limit) from None
    except web.RequestPayloadError:
        raise BadRequest("The body is not framed as its headers say.") from None
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


def _size(limit: int) -> str:
    for unit, name in ((1024 * 1024, "MiB"), (1024, "KiB")):
        if limit % unit == 0:
            return f"{limit // unit} {name}"
    return f"{limit} bytes"


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
