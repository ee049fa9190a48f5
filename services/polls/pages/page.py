"""Render a page with its layout."""

from typing import Final
from urllib.parse import unquote

from aiohttp import web

from services.polls.app_keys import TEMPLATES
from services.polls.pages import paths
from shared.contract.token import SECRET_PATTERN, SECRET_START
from shared.runtime.pages.page_response import PAGE_POLICY, page_response
from shared.runtime.process.redaction import redactor


def page(
    request: web.Request, template: str, *, status: int = 200, policy: str = PAGE_POLICY, **values: object
) -> web.Response:
    """Return the page of a template, without secrets. Templates have `paths` too."""
    return page_response(render(request, template, **values), status=status, policy=policy)


def render(request: web.Request, template: str, **values: object) -> str:
    """Return the text of a page or of a part of one, without secrets."""
    text = request.app[TEMPLATES].render(template, {"paths": paths, **values})
    return _redact(text) if SECRET_PATTERN.search(unquote(text) if "%" in text else text) else text


_redact: Final = redactor(SECRET_PATTERN, SECRET_START)
