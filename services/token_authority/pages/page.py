"""Render a settings page with its layout: the menu, the session and the token of its forms."""

from secrets import token_hex
from typing import Final, NamedTuple
from urllib.parse import unquote

from aiohttp import web

from services.token_authority.app_keys import SESSION, SESSION_SECRET, TEMPLATES
from services.token_authority.domain.administrator import Rights
from services.token_authority.pages import paths
from shared.contract.token import SECRET_PATTERN, SECRET_START
from shared.runtime.pages.forms import FORM_TOKEN, form_token
from shared.runtime.pages.page_response import PAGE_POLICY, page_headers, page_response
from shared.runtime.process.redaction import redactor


class MenuItem(NamedTuple):
    """An entry of the menu."""

    title: str
    path: str
    is_current: bool


def page(request: web.Request, template: str, *, status: int = 200, secret: str = "", **values: object) -> web.Response:
    """Return the page of a template. Templates have `session`, `rights`, `menu` and `form_token` too.

    `secret` is a new one, which this page shows. Every other secret is removed, such as one in a field that is refused.
    """
    if not secret:
        return whole_page(render(request, template, **values), status)
    mark = f"secret{token_hex(8)}"
    return whole_page(render(request, template, secret=mark, **values).replace(mark, secret), status)


def whole_page(text: str, status: int = 200) -> web.Response:
    """Return the response with the text of a page."""
    return page_response(text, status=status, policy=PAGE_POLICY)


def render(request: web.Request, template: str, **values: object) -> str:
    """Return the text of a page, without secrets."""
    session = request.get(SESSION)
    layout = {
        "session": session,
        "rights": session.rights if session else None,
        "menu": _menu(session.rights, request.path) if session else [],
        "form_token_name": FORM_TOKEN,
        "form_token": form_token(request[SESSION_SECRET]) if session else "",
        "paths": paths,
    }
    text = request.app[TEMPLATES].render(template, {**layout, **values})
    return _redact(text) if SECRET_PATTERN.search(unquote(text) if "%" in text else text) else text


def page_stream_headers() -> dict[str, str]:
    """Return the headers of a page that is sent in pieces."""
    return {"Content-Type": "text/html; charset=utf-8", **page_headers(PAGE_POLICY)}


_redact: Final = redactor(SECRET_PATTERN, SECRET_START)


def _menu(rights: Rights, current: str) -> list[MenuItem]:
    for_all = (("Access tokens", paths.TOKENS), ("Review", paths.REVIEW))
    for_auditors = (
        ("Audit log", paths.AUDIT),
        ("Services", paths.SERVICES),
        ("Administrators", paths.ADMINISTRATORS),
    )
    shown = (*for_all, *(for_auditors if rights.may_audit else ()), ("Sites", paths.SITES))
    return [MenuItem(title, path, current == path or current.startswith(f"{path}/")) for title, path in shown]
