"""Sign in to manage polls with an access token, and sign out."""

from typing import Final

from aiohttp import hdrs, web

from services.polls.app_keys import FORM, SESSION_COOKIE, SESSION_SECRET, SESSIONS, SETTINGS
from services.polls.pages import paths
from services.polls.pages.manage_access import (
    TOKEN_FIELD,
    find_session,
    require_private_origin,
    take_token_of_form,
)
from services.polls.pages.manage_page import manage_page
from shared.contract.presented_secret import trim_secret
from shared.guard import GuardError, TokenAccess, TokenInvalid, TokenMissing
from shared.guard.problems import GUARD_PROBLEMS
from shared.runtime.http.problem import problem_for
from shared.runtime.http.query import query_of
from shared.runtime.pages.forms import read_form, require_form_token, require_same_origin

NOTICES: Final = {
    ("ended", "true"): "Your session is over, so nothing was changed. Sign in again.",
    ("ended", "token"): "Your token no longer works, so your session is over and nothing was changed. Sign in with "
    "another token.",
    ("out", "true"): "You are signed out.",
}


async def show_start(_request: web.Request) -> web.Response:
    """Lead to the list of polls."""
    raise web.HTTPSeeOther(paths.POLLS)


async def show_sign_in(request: web.Request) -> web.Response:
    """Return the page to sign in, or lead to the page that was asked for if there is a session."""
    require_private_origin(request)
    query = query_of(request)
    wanted = _next_page(query.optional("next"))
    if await find_session(request) is not None:
        raise web.HTTPSeeOther(wanted)
    shown = [text for (name, value), text in NOTICES.items() if query.optional(name) == value]
    return _sign_in_page(request, wanted, notice=shown[0] if shown else "")


async def sign_in(request: web.Request) -> web.Response:
    """Start a session with a token that the guard has let through, and lead to the page that was asked for."""
    form, sessions = request[FORM], request.app[SESSIONS]
    former = request.app[SESSION_COOKIE].read(request)
    if former is not None:
        await sessions.end(former)
    secret = await sessions.start(trim_secret(form.raw(TOKEN_FIELD)))
    response = web.Response(status=303, headers={"Location": _next_page(form.raw("next"))})
    request.app[SESSION_COOKIE].set(response, secret)
    return response


async def sign_out(request: web.Request) -> web.Response:
    """End the session, also if its token no longer works, and lead to the page to sign in."""
    require_same_origin(request, request.app[SETTINGS].resource_url)
    form = await read_form(request)
    if await find_session(request) is not None:
        require_form_token(form, request[SESSION_SECRET])
        await request.app[SESSIONS].end(request[SESSION_SECRET])
    response = web.Response(status=303, headers={"Location": paths.sign_in_path(out="true")})
    request.app[SESSION_COOKIE].delete(response)
    return response


async def _show_refused_token(request: web.Request, error: GuardError) -> web.Response:
    """Return the page to sign in with the reason for which the guard does not accept the token."""
    wanted = _next_page(request[FORM].raw("next"))
    if isinstance(error, TokenMissing):
        return _sign_in_page(request, wanted, status=422, error="Enter an access token.")
    problem = problem_for(error, GUARD_PROBLEMS)
    status = problem.status or problem.kind.status
    if isinstance(error, TokenInvalid):
        return _sign_in_page(request, wanted, status=status, error=problem.detail)
    response = _sign_in_page(request, wanted, status=status, message=problem.detail)
    if hdrs.RETRY_AFTER in problem.headers:
        response.headers[hdrs.RETRY_AFTER] = problem.headers[hdrs.RETRY_AFTER]
    return response


SIGNING_IN: Final = TokenAccess(find_token=take_token_of_form, show_refusal=_show_refused_token)
"""The access rule of the form to sign in: the guard checks the token as if it were sent to the API."""


def _sign_in_page(
    request: web.Request, wanted: str, *, status: int = 200, message: str = "", error: str = "", notice: str = ""
) -> web.Response:
    values = {"next": wanted, "message": message, "error": error, "notice": notice}
    return manage_page(request, "manage_sign_in.html", status=status, **values)


def _next_page(path: str) -> str:
    return path if paths.is_inside(path) else paths.POLLS
