"""Mounts the pages, which are rendered once, when the service starts."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from shared.runtime.docs.pages import TEMPLATES, render_api, render_problem, render_problems, template_environment
from shared.runtime.openapi import OPENAPI_ROUTE, Schema, add_openapi
from shared.runtime.problem_types import PROBLEMS_ROUTE, ProblemType

ROOT_ROUTE: Final = "/"
DOCS_ROUTE: Final = "/docs"
STYLE_ROUTE: Final = "/docs/style.css"
PROBLEM_ROUTE: Final = PROBLEMS_ROUTE + "/{slug}"
DOCS_ROUTES: Final = frozenset({ROOT_ROUTE, OPENAPI_ROUTE, DOCS_ROUTE, STYLE_ROUTE, PROBLEMS_ROUTE, PROBLEM_ROUTE})
"""What everyone may read: the templates of all that `add_docs` mounts."""

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
}


def add_docs(app: web.Application, document: Schema, kinds: Sequence[ProblemType]) -> None:
    """Mount the OpenAPI document, a page to browse it, and a page for each kind of problem that the service can tell.

    A problem page that is not there is a 404, as any other path is.
    """
    environment, service = template_environment(), document["info"]["title"]
    pages = {kind.slug: render_problem(environment, service, kind) for kind in kinds}

    async def show_problem(request: web.Request) -> web.Response:
        page = pages.get(request.match_info["slug"])
        if page is None:
            raise web.HTTPNotFound
        return _page(page)

    async def show_docs(_request: web.Request) -> web.Response:
        raise web.HTTPSeeOther(DOCS_ROUTE)

    add_openapi(app, document)
    app.router.add_get(ROOT_ROUTE, show_docs)
    app.router.add_get(DOCS_ROUTE, _shows(render_api(environment, document, kinds)))
    app.router.add_get(STYLE_ROUTE, _shows((TEMPLATES / "style.css").read_text(encoding="utf-8"), "text/css"))
    app.router.add_get(PROBLEMS_ROUTE, _shows(render_problems(environment, service, kinds)))
    app.router.add_get(PROBLEM_ROUTE, show_problem)


def _shows(text: str, media_type: str = "text/html") -> Handler:
    async def show(_request: web.Request) -> web.Response:
        return _page(text, media_type)

    return show


def _page(text: str, media_type: str = "text/html") -> web.Response:
    return web.Response(text=text, content_type=media_type, charset="utf-8", headers=_HEADERS)
