"""Show errors of the settings pages with their layout."""

import msgspec
from aiohttp import web

from services.token_authority.pages.page import page
from services.token_authority.pages.paths import SETTINGS_ROOT
from shared.runtime.docs.error_pages import HTML
from shared.runtime.http.accept import prefers
from shared.runtime.http.application import ErrorView
from shared.runtime.http.body import JSON
from shared.runtime.http.problem import ProblemDocument


class PageErrors(ErrorView):
    """Shows errors of the settings pages; leaves those of other routes to another view."""

    def __init__(self, others: ErrorView) -> None:
        self._others = others

    async def show(self, request: web.Request, response: web.Response) -> web.Response:
        """Return a page for a browser that opened a settings page."""
        is_page = request.path == SETTINGS_ROOT or request.path.startswith(f"{SETTINGS_ROOT}/")
        if not (is_page and isinstance(response.body, bytes) and prefers(request, HTML, JSON)):
            return await self._others.show(request, response)
        problem = msgspec.json.decode(response.body, type=ProblemDocument)
        shown = page(request, "error.html", status=response.status, problem=problem)
        for name in ("Allow", "Retry-After"):
            if name in response.headers:
                shown.headers[name] = response.headers[name]
        return shown
