"""Show errors as pages to people who open a URL of the service in a browser. Programs get problem documents."""

from typing import Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from shared.runtime.docs.documentation import Documentation
from shared.runtime.docs.page_response import page_response
from shared.runtime.http.accept import prefers
from shared.runtime.http.body import JSON
from shared.runtime.http.problem import PROBLEM_JSON, ProblemDocument

HTML: Final = "text/html"
_OF_BODIES: Final = frozenset({hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH})


def show_errors_as_pages(documentation: Documentation) -> Middleware:
    """Return a middleware that turns problem documents into pages, by the Accept header, with the same status.

    It has to be the outermost one: the problem documents have been redacted then.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if not isinstance(response, web.Response) or response.content_type != PROBLEM_JSON:
            return response
        response.headers.add(hdrs.VARY, hdrs.ACCEPT)
        if not isinstance(response.body, bytes) or not prefers(request, HTML, JSON):
            return response
        pages = await documentation.pages()
        problem = msgspec.json.decode(response.body, type=ProblemDocument)
        page = page_response(pages.templates.render_error(problem), status=response.status)
        page.headers.extend((name, value) for name, value in response.headers.items() if name.title() not in _OF_BODIES)
        return page

    return middleware
