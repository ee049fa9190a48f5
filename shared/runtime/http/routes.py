"""The table of a service's routes: one row holds everything that is true of a route.

`add_routes` mounts the rows.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Final

import msgspec
from aiohttp import hdrs, web
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

    `restrict` wraps the handler and lets only authorized requests through. `limit_bodies` wraps the reading of the body
    and all that follows. For the OpenAPI document, `security` names the schemes of which any one is accepted, the
    preferred one first; `note` is added to the description, and `problems` maps the statuses of refusals to sentences.
    """

    restrict: Callable[[Handler], Handler] = _allow_all
    security: tuple[str, ...] = ()
    note: str = ""
    problems: Mapping[int, str] = {}
    limit_bodies: Callable[[Handler], Handler] = _allow_all

    def apply_to(self, handler: Handler) -> Handler:
        """Return a handler that lets only authorized requests through to this one."""
        return self.restrict(handler)

    def describe(self, operation: Operation) -> Operation:
        """Return the operation with the access rule in its description and problems."""
        return msgspec.structs.replace(
            operation,
            description=" ".join(filter(None, (operation.description, self.note))),
            problems={**self.problems, **operation.problems},
        )


PUBLIC: Final = Access()
"""Anyone may call the route: it reveals no secret and changes nothing."""


class Excess(Enum):
    """What happens to requests of an address that sends too many of them on open routes (`open_requests.py`)."""

    REFUSE = "refuse"
    """They wait for a second, and are 429."""
    WAIT = "wait"
    """They wait for a second, and are handled: they may have a valid credential, or other programs depend on them."""
    WAIT_BRIEFLY = "wait briefly"
    """They wait less than the time limit of probes, and are handled."""


class Route(Struct, frozen=True):
    """One row of the table.

    `body_limit` is in bytes; `time_limit_s` counts from the arrival of the body. Errors are reported by `problem_table`
    first, then by the application's table. With `reports_oauth_errors`, problems are also OAuth errors (RFC 6749 §5.2),
    in `application/json` unless the client prefers `application/problem+json`. With `logs_success` false, only failed
    requests are logged; with `is_traced` false, requests have no spans. With an `excess`, requests count against the
    limit of their address.
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
    is_traced: bool = True
    excess: Excess | None = None


class RouteWrapper:
    """What an application does for every request around its handler. This one does nothing."""

    def wrap(self, _route: Route, handler: Handler) -> Handler:
        """Return the handler to mount."""
        return handler


ROUTE_WRAPPER: Final = web.AppKey("route_wrapper", RouteWrapper)
_ROUTES: Final = web.AppKey("routes", dict[web.AbstractRoute, Route])


def add_routes(app: web.Application, routes: Iterable[Route]) -> None:
    """Mount the routes. A `{name}` in a path matches one segment, whatever characters that has.

    A row for GET also serves HEAD (RFC 9110 §9.3.2), under the same access rule. aiohttp leaves out the content.
    """
    for route in routes:
        path = _PARAMETER.sub(r"{\1:[^/]+}", route.path)
        for method in (route.method, hdrs.METH_HEAD) if route.method == hdrs.METH_GET else (route.method,):
            mount_route(app, route, method, path)


def mount_route(app: web.Application, route: Route, method: str, path: str) -> None:
    """Mount a row for a method at a path pattern of aiohttp, with its access rule and what the application does."""
    handler = app.get(ROUTE_WRAPPER, _NO_WRAPPER).wrap(route, route.access.apply_to(route.endpoint.handler))
    app.setdefault(_ROUTES, {})[app.router.add_route(method, path, handler)] = route


_NO_WRAPPER: Final = RouteWrapper()
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


def match_route(request: web.Request) -> Route | None:
    """Return the row of the request's route, or `None` if no row matches the path and method."""
    return request.app.get(_ROUTES, {}).get(request.match_info.route)


def list_routes(app: web.Application) -> list[Route]:
    """Return the rows that have been mounted."""
    return [route for mounted, route in app.get(_ROUTES, {}).items() if mounted.method == route.method]


def find_unlisted_routes(app: web.Application) -> list[str]:
    """Return method and path of each mounted route that is not in the table."""
    listed = app.get(_ROUTES, {})
    return [f"{route.method} {_path_of(route)}" for route in app.router.routes() if route not in listed]


def _path_of(route: web.AbstractRoute) -> str:
    return route.resource.canonical if route.resource is not None else "?"
