"""Show errors as pages to people who open a URL of the service in a browser. Programs get problem documents."""

from typing import Final

import msgspec
from aiohttp import hdrs, web

from shared.runtime.docs.documentation import Documentation
from shared.runtime.docs.page_response import page_response
from shared.runtime.http.accept import prefers
from shared.runtime.http.application import ErrorView
from shared.runtime.http.body import JSON
from shared.runtime.http.problem import ProblemDocument

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
