"""Render a settings page with its layout: the menu, the session and the token of its forms."""

from typing import NamedTuple

from aiohttp import web

from services.token_authority.app_keys import SESSION, SESSION_SECRET, TEMPLATES
from services.token_authority.domain.administrator import Rights
from services.token_authority.pages import paths
from shared.runtime.pages.forms import FORM_TOKEN, form_token
from shared.runtime.pages.page_response import PAGE_POLICY, page_headers, page_response


class MenuItem(NamedTuple):
    """An entry of the menu."""

    title: str
    path: str
    is_current: bool


def page(request: web.Request, template: str, *, status: int = 200, **values: object) -> web.Response:
    """Return the page of a template. Templates have `session`, `rights`, `menu` and `form_token` too."""
    return whole_page(render(request, template, **values), status)


def whole_page(text: str, status: int = 200) -> web.Response:
    """Return the response with the text of a page."""
    return page_response(text, status=status, policy=PAGE_POLICY)


def render(request: web.Request, template: str, **values: object) -> str:
    """Return the text of a page."""
    session = request.get(SESSION)
    layout = {
        "session": session,
        "rights": session.rights if session else None,
        "menu": _menu(session.rights, request.path) if session else [],
        "form_token_name": FORM_TOKEN,
        "form_token": form_token(request[SESSION_SECRET]) if session else "",
        "paths": paths,
    }
    return request.app[TEMPLATES].render(template, {**layout, **values})


def page_stream_headers() -> dict[str, str]:
    """Return the headers of a page that is sent in pieces."""
    return {"Content-Type": "text/html; charset=utf-8", **page_headers(PAGE_POLICY)}


def _menu(rights: Rights, current: str) -> list[MenuItem]:
    for_all = (("Access tokens", paths.TOKENS), ("Review", paths.REVIEW))
    for_auditors = (
        ("Audit log", paths.AUDIT),
        ("Services", paths.SERVICES),
        ("Administrators", paths.ADMINISTRATORS),
    )
    shown = (*for_all, *(for_auditors if rights.may_audit else ()), ("Sites", paths.SITES))
    return [MenuItem(title, path, current == path or current.startswith(f"{path}/")) for title, path in shown]
