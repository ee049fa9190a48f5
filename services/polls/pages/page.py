"""Render a page with its layout."""

import re
from collections.abc import Sequence
from secrets import token_hex
from typing import Final
from urllib.parse import unquote

from aiohttp import web

from services.polls.app_keys import TEMPLATES
from services.polls.pages import paths
from shared.contract.token import SECRET_PATTERN, SECRET_START
from shared.runtime.pages.page_response import PAGE_POLICY, page_response
from shared.runtime.process.redaction import redactor


def page(
    request: web.Request,
    template: str,
    *,
    status: int = 200,
    policy: str = PAGE_POLICY,
    secrets: Sequence[str] = (),
    **values: object,
) -> web.Response:
    """Return the page of a template, without secrets. Templates have `paths` too.

    `secrets` are new ones, which this page alone shows: the template has a mark in place of each. Every other secret is
    removed, such as one in a field that is refused.
    """
    if not secrets:
        return page_response(render(request, template, **values), status=status, policy=policy)
    start = f"secret{token_hex(8)}x"
    marks = [f"{start}{number}x" for number in range(len(secrets))]
    text = render(request, template, secrets=marks, **values)
    shown = re.sub(rf"{start}(\d+)x", lambda mark: secrets[int(mark[1])], text)
    return page_response(shown, status=status, policy=policy)


def render(request: web.Request, template: str, **values: object) -> str:
    """Return the text of a page or of a part of one, without secrets."""
    text = request.app[TEMPLATES].render(template, {"paths": paths, **values})
    return _redact(text) if SECRET_PATTERN.search(unquote(text) if "%" in text else text) else text


_redact: Final = redactor(SECRET_PATTERN, SECRET_START)
