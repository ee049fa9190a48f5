"""Mount the documentation of a service under `/openapi.json` and `/docs`."""

from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from shared.runtime.docs.documentation import Documentation, Pages
from shared.runtime.docs.openapi import OPENAPI_ROUTE
from shared.runtime.http.body import JSON
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.problem_types import PROBLEMS_ROUTE
from shared.runtime.http.routes import PUBLIC, Route, add_routes

ROOT_ROUTE: Final = "/"
DOCS_ROUTE: Final = "/docs"
STYLE_ROUTE: Final = "/docs/style.css"
PROBLEM_ROUTE: Final = PROBLEMS_ROUTE + "/{slug}"

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
}


def add_docs(app: web.Application, documentation: Documentation) -> None:
    """Mount the OpenAPI document, a page to browse it, and a page for each problem type of the service.

    An unknown problem type is a 404.
    """

    def show(pick: Callable[[Pages], str], media_type: str = "text/html") -> Handler:
        async def show_text(_request: web.Request) -> web.Response:
            return _page(pick(await documentation.pages()), media_type)

        return show_text

    async def show_root(_request: web.Request) -> web.Response:
        raise web.HTTPSeeOther(DOCS_ROUTE)

    async def show_openapi(_request: web.Request) -> web.Response:
        return web.Response(body=(await documentation.pages()).openapi, content_type=JSON)

    async def show_problem(request: web.Request) -> web.Response:
        page = (await documentation.pages()).problem_by_slug.get(request.match_info["slug"])
        if page is None:
            raise web.HTTPNotFound
        return _page(page)

    handlers = {
        ROOT_ROUTE: show_root,
        OPENAPI_ROUTE: show_openapi,
        DOCS_ROUTE: show(lambda pages: pages.api),
        STYLE_ROUTE: show(lambda pages: pages.style, "text/css"),
        PROBLEMS_ROUTE: show(lambda pages: pages.problems),
        PROBLEM_ROUTE: show_problem,
    }
    add_routes(app, [Route("GET", path, Endpoint(handler), PUBLIC) for path, handler in handlers.items()])


def _page(text: str, media_type: str = "text/html") -> web.Response:
    return web.Response(text=text, content_type=media_type, charset="utf-8", headers=_HEADERS)
