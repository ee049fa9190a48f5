"""Mount the documentation of a service under `/openapi.json` and `/docs`."""

from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from markupsafe import escape

from shared.runtime.docs.documentation import GUIDE_ROUTE, Documentation, Pages
from shared.runtime.docs.error_pages import show_errors_as_pages
from shared.runtime.docs.openapi import OPENAPI_ROUTE
from shared.runtime.docs.variables import ORIGIN_MARK
from shared.runtime.http.body import JSON
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.problem_types import PROBLEMS_ROUTE
from shared.runtime.http.routes import PUBLIC, Excess, Route, add_routes
from shared.runtime.pages.page_response import page_response

ROOT_ROUTE: Final = "/"
DOCS_ROUTE: Final = "/docs"
STYLE_ROUTE: Final = "/docs/style.css"
ICON_ROUTE: Final = "/docs/icon.svg"
DEFAULT_ICON_ROUTE: Final = "/favicon.ico"
PROBLEM_ROUTE: Final = PROBLEMS_ROUTE + "/{slug}"
GUIDE_PAGE_ROUTES: Final = (GUIDE_ROUTE, GUIDE_ROUTE + "/{name}", GUIDE_ROUTE + "/{folder}/{name}")


def add_docs(app: web.Application, documentation: Documentation, url: str, *, has_start_page: bool = False) -> None:
    """Mount the OpenAPI document, a page to browse it, the guide, and a page for each problem type of the service.

    Browsers get errors as pages. The commands on the pages call the service at `url`. An unknown problem type or page
    of the guide is a 404. `/` leads here unless the service has a start page of its own.
    """
    show_errors_as_pages(app, documentation)
    origin = str(escape(url.rstrip("/")))

    def show(pick: Callable[[Pages], str], media_type: str = "text/html") -> Handler:
        shown: list[str] = []

        async def show_text(_request: web.Request) -> web.Response:
            if not shown:
                shown.append(pick(await documentation.pages()).replace(ORIGIN_MARK, origin))
            return page_response(shown[0], media_type)

        return show_text

    async def show_openapi(_request: web.Request) -> web.Response:
        return web.Response(body=(await documentation.pages()).openapi, content_type=JSON)

    async def show_problem(request: web.Request) -> web.Response:
        page = (await documentation.pages()).problem_by_slug.get(request.match_info["slug"])
        if page is None:
            raise web.HTTPNotFound
        return page_response(page)

    show_icon = show(lambda pages: pages.icon, "image/svg+xml")
    handlers = {
        **({} if has_start_page else {ROOT_ROUTE: _redirect_to_docs}),
        OPENAPI_ROUTE: show_openapi,
        DOCS_ROUTE: show(lambda pages: pages.api),
        DOCS_ROUTE + "/": _redirect_without_slash,
        STYLE_ROUTE: show(lambda pages: pages.style, "text/css"),
        ICON_ROUTE: show_icon,
        DEFAULT_ICON_ROUTE: show_icon,
        PROBLEMS_ROUTE: show(lambda pages: pages.problems),
        PROBLEMS_ROUTE + "/": _redirect_without_slash,
        PROBLEM_ROUTE: show_problem,
        PROBLEM_ROUTE + "/": _redirect_without_slash,
        **dict.fromkeys(GUIDE_PAGE_ROUTES, _guide_of(documentation)),
        **{route + "/": _redirect_without_slash for route in GUIDE_PAGE_ROUTES},
    }
    routes = [Route("GET", path, Endpoint(handler), PUBLIC, excess=Excess.REFUSE) for path, handler in handlers.items()]
    add_routes(app, routes)


def _guide_of(documentation: Documentation) -> Handler:
    async def show_guide(request: web.Request) -> web.Response:
        page = await documentation.guide_page(request.path)
        if page is not None:
            return page_response(page)
        image = await documentation.guide_image(request.path)
        if image is None:
            raise web.HTTPNotFound
        return web.Response(body=image, content_type="image/png")

    return show_guide


async def _redirect_to_docs(_request: web.Request) -> web.Response:
    raise web.HTTPSeeOther(DOCS_ROUTE)


async def _redirect_without_slash(request: web.Request) -> web.Response:
    raise web.HTTPPermanentRedirect(request.rel_url.raw_path.removesuffix("/"))
