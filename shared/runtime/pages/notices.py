"""Say on a page what an action has done. The address has a word for it, never the text."""

from collections.abc import Mapping

from aiohttp import web

from shared.runtime.http.query import query_of


def notice_of(request: web.Request, notices: Mapping[str, str]) -> str:
    """Return the notice for the `done` in the address; empty without one."""
    return notices.get(query_of(request).optional("done"), "")


def lead_to(path: str, done: str) -> web.Response:
    """Return a redirect to a page, which then says what was done."""
    return web.Response(status=303, headers={"Location": f"{path}?done={done}"})
