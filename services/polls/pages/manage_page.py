"""Render a page to manage polls with its layout: the menu, the session and the token of its forms."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from aiohttp import web

from services.polls.app_keys import SESSION_SECRET
from services.polls.pages import paths
from services.polls.pages.page import page
from shared.contract.scope import Action
from shared.guard import Caller, caller
from shared.runtime.pages.forms import FORM_TOKEN, form_token


class MenuItem(NamedTuple):
    """An entry of the menu."""

    title: str
    path: str
    is_current: bool


def manage_page(
    request: web.Request, template: str, *, status: int = 200, secrets: Sequence[str] = (), **values: object
) -> web.Response:
    """Return the page of a template. Templates have `is_signed_in`, `token_id`, `menu` and `form_token` too.

    `secrets` are new ones, which this page alone shows: see `page`.
    """
    bearer = _find_caller(request)
    secret = request.get(SESSION_SECRET, "")
    layout: dict[str, Any] = {
        "is_signed_in": bool(secret),
        "token_id": bearer.token_id if bearer else "",
        "menu": _menu(bearer, request.path) if bearer and secret else [],
        "form_token_name": FORM_TOKEN,
        "form_token": form_token(secret) if secret else "",
    }
    return page(request, template, status=status, secrets=secrets, **{**layout, **values})


def _find_caller(request: web.Request) -> Caller | None:
    try:
        return caller(request)
    except KeyError:  # the page is public, or the guard has refused the request
        return None


def _menu(bearer: Caller, current: str) -> list[MenuItem]:
    items = [MenuItem("Polls", paths.POLLS, current.startswith(paths.POLLS) and current != paths.NEW_POLL)]
    if bearer.find_paths(Action.CREATE):
        items.append(MenuItem("Create poll", paths.NEW_POLL, current == paths.NEW_POLL))
    return items
