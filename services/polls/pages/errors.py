"""Show errors of the pages with their layout."""

from collections.abc import Sequence
from typing import Final

import msgspec
from aiohttp import web

from services.polls.app_keys import FORM, SESSION_SECRET
from services.polls.pages import paths
from services.polls.pages.manage_page import manage_page
from services.polls.pages.page import page
from services.polls.pages.poll import policy_of
from shared.runtime.docs.error_pages import HTML
from shared.runtime.http.accept import prefers
from shared.runtime.http.application import ErrorView
from shared.runtime.http.body import JSON
from shared.runtime.http.problem import ProblemDocument

_TEMPORARY: Final = (429, 503)
"""Statuses of a request that may succeed when it is sent again."""


class PageErrors(ErrorView):
    """Shows errors of the pages; leaves those of other routes to another view."""

    def __init__(self, others: ErrorView) -> None:
        self._others = others

    async def show(self, request: web.Request, response: web.Response) -> web.Response:
        """Return a page for a browser that opened a page."""
        if not (paths.is_page(request.path) and isinstance(response.body, bytes) and prefers(request, HTML, JSON)):
            return await self._others.show(request, response)
        problem = msgspec.json.decode(response.body, type=ProblemDocument)
        if paths.is_manage(request.path):
            fields = _fields_to_send_again(request, response.status)
            shown = manage_page(request, "manage_error.html", status=response.status, problem=problem, fields=fields)
        else:
            shown = page(request, "error.html", status=response.status, policy=policy_of(request), problem=problem)
        for name in ("Allow", "Retry-After"):
            if name in response.headers:
                shown.headers[name] = response.headers[name]
        return shown


def _fields_to_send_again(request: web.Request, status: int) -> Sequence[tuple[str, str]]:
    """Return the fields of a form that was not accepted for now, so that nothing is lost that was typed."""
    is_form = FORM in request and SESSION_SECRET in request
    return request[FORM].fields if is_form and status in _TEMPORARY else ()
