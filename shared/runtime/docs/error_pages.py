"""Show errors as pages to people who open a URL of the service in a browser. Programs get problem documents."""

from typing import Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from shared.runtime.docs.documentation import Documentation
from shared.runtime.http.accept import prefers
from shared.runtime.http.application import ERROR_VIEW, ErrorView
from shared.runtime.http.body import JSON
from shared.runtime.http.problem import PROBLEM_JSON, ProblemDocument
from shared.runtime.pages.page_response import page_response

HTML: Final = "text/html"
_OF_BODIES: Final = frozenset({hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH})


class ErrorPages(ErrorView):
    """Turns problem documents into pages, by the Accept header."""

    def __init__(self, documentation: Documentation) -> None:
        self._documentation = documentation

    async def show(self, request: web.Request, response: web.Response) -> web.Response:
        """Return a page for a browser, else the problem document."""
        response.headers.add(hdrs.VARY, hdrs.ACCEPT)
        if not isinstance(response.body, bytes) or not prefers(request, HTML, JSON):
            return response
        pages = await self._documentation.pages()
        problem = msgspec.json.decode(response.body, type=ProblemDocument)
        page = page_response(pages.templates.render_error(problem), status=response.status)
        page.headers.extend((name, value) for name, value in response.headers.items() if name.title() not in _OF_BODIES)
        return page


def show_errors_as_pages(app: web.Application, documentation: Documentation) -> None:
    """Let browsers get pages for errors of the application."""
    pages = ErrorPages(documentation)

    @web.middleware
    async def show_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if isinstance(response, web.Response) and response.content_type == PROBLEM_JSON:
            return await pages.show(request, response)
        return response

    if ERROR_VIEW in app:
        app[ERROR_VIEW] = pages
    else:  # the application was not made by `create_application`
        app.middlewares.insert(0, show_errors)
