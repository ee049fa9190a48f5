"""The table of a service's routes: one row holds everything that is true of a route.

`add_routes` mounts the rows. Middlewares read the row of a request with `match_route`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct

from shared.runtime.http.endpoint import Endpoint, Operation
from shared.runtime.http.problem import ProblemTable

MAX_BODY_BYTES: Final = 64 * 1024
"""The limit of a request's body, unless its route has another one."""
HANDLING_LIMIT_S: Final = 2.5
"""The time from the arrival of a request's body to the response, unless its route has another limit."""


def _allow_all(handler: Handler) -> Handler:
    return handler


class Access(Struct, frozen=True):
    """Who may call a route.

    `restrict` wraps the handler and lets only authorized requests through. For the OpenAPI document, `security` names
    the schemes of which any one is accepted, the preferred one first; `note` is added to the description, and
    `problems` maps the statuses of refusals to sentences.
    """

    restrict: Callable[[Handler], Handler] = _allow_all
    security: tuple[str, ...] = ()
    note: str = ""
    problems: Mapping[int, str] = {}

    def describe(self, operation: Operation) -> Operation:
        """Return the operation with the access rule in its description and problems."""
        return msgspec.structs.replace(
            operation,
            description=" ".join(filter(None, (operation.description, self.note))),
            problems={**self.problems, **operation.problems},
        )


PUBLIC: Final = Access()
"""Anyone may call the route: it reveals no secret and changes nothing."""


class Route(Struct, frozen=True):
    """One row of the table.

    `body_limit` is in bytes; `time_limit_s` counts from the arrival of the body. Errors are reported by `problem_table`
    first, then by the application's table. With `reports_oauth_errors`, problems are also OAuth errors (RFC 6749 §5.2),
    in `application/json` unless the client prefers `application/problem+json`. With `logs_success` false, only failed
    requests are logged.
    """

    method: str
    path: str
    endpoint: Endpoint
    access: Access
    body_limit: int = MAX_BODY_BYTES
    time_limit_s: float = HANDLING_LIMIT_S
    problem_table: ProblemTable = {}
    reports_oauth_errors: bool = False
    logs_success: bool = True


_ROUTES: Final = web.AppKey("routes", dict[web.AbstractRoute, Route])


def add_routes(app: web.Application, routes: Iterable[Route]) -> None:
    """Mount the routes. A `{name}` in a path matches one segment, whatever characters that has.

    A row for GET also serves HEAD (RFC 9110 §9.3.2), under the same access rule. aiohttp leaves out the content.
    """
    rows = app.setdefault(_ROUTES, {})
    for route in routes:
        path = _PARAMETER.sub(r"{\1:[^/]+}", route.path)
        handler = route.access.restrict(route.endpoint.handler)
        for method in (route.method, "HEAD") if route.method == "GET" else (route.method,):
            rows[app.router.add_route(method, path, handler)] = route


_PARAMETER: Final = re.compile(r"\{(\w+)\}")


_ROUTE: Final = web.RequestKey("route", Route)


def match_route(request: web.Request) -> Route | None:
    """Return the row of the request's route, or `None` if no row matches the path and method."""
    try:
        return request[_ROUTE]
    except KeyError:
        return _find_route(request)


def note_route(request: web.Request) -> Route | None:
    """Return what `match_route` does, which then takes no search."""
    route = _find_route(request)
    if route is not None:
        request[_ROUTE] = route
    return route


def _find_route(request: web.Request) -> Route | None:
    app = request.app
    return app[_ROUTES].get(request.match_info.route) if _ROUTES in app else None


def list_routes(app: web.Application) -> list[Route]:
    """Return the rows that have been mounted."""
    return [route for mounted, route in app.get(_ROUTES, {}).items() if mounted.method == route.method]


def find_unlisted_routes(app: web.Application) -> list[str]:
    """Return method and path of each mounted route that is not in the table."""
    listed = app.get(_ROUTES, {})
    return [f"{route.method} {_path_of(route)}" for route in app.router.routes() if route not in listed]


def _path_of(route: web.AbstractRoute) -> str:
    return route.resource.canonical if route.resource is not None else "?"
