"""Access rules of the pages to manage polls: a session whose token works, and forms that only our own pages send.

The token passes the guard with each request, as one that is sent to the API. So a session ends at the moment when its
token is revoked, and the addresses, the rate limit and the usage of the token apply to pages too.
"""

from typing import Final

from aiohttp import hdrs, web

from services.polls.app_keys import FORM, SESSION_COOKIE, SESSION_SECRET, SESSIONS, SETTINGS
from services.polls.domain.errors import InsecureSignIn
from services.polls.pages import paths
from services.polls.pages.manage_page import manage_page
from shared.contract.presented_secret import trim_secret
from shared.contract.scope import Action
from shared.guard import GuardError, PresentedToken, TokenAccess, TokenInvalid, TokenMissing
from shared.runtime.pages.cookies import is_private_origin
from shared.runtime.pages.forms import read_form, require_form_token, require_same_origin

TOKEN_FIELD: Final = "token"  # noqa: S105 - the name of a field
_FORMS: Final = ("/new", "/edit", "/close", "/reopen", "/delete", "/links/shared", "/links/personal")
"""How the paths of forms end, to which one is led back after signing in again."""


def session_with(*actions: Action) -> TokenAccess:
    """Let requests with a session through, to a page that requires one of the actions; to any page without actions."""
    return TokenAccess(actions=frozenset(actions), find_token=_take_token_of_session, show_refusal=_lead_to_sign_in)


def stream_of_session_with(*actions: Action) -> TokenAccess:
    """Let requests with a session through, to a stream that requires one of the actions.

    Without a session whose token works, the response is 204, after which browsers do not open the stream again (HTML,
    "Server-sent events").
    """
    return TokenAccess(actions=frozenset(actions), find_token=_take_token_of_session, show_refusal=_end_stream)


async def take_token_of_form(request: web.Request) -> PresentedToken:
    """Return the token that was entered to sign in. Raise `InsecureSignIn`, `ForgedForm` or `TokenMissing`."""
    require_private_origin(request)
    require_same_origin(request, request.app[SETTINGS].resource_url)
    form = request[FORM] = await read_form(request)
    token = trim_secret(form.raw(TOKEN_FIELD))
    if not token:
        raise TokenMissing
    return PresentedToken(token, is_in_query=False)


async def find_session(request: web.Request) -> str | None:
    """Return the token of the session that the cookie of the request belongs to; `None` without one."""
    secret = request.app[SESSION_COOKIE].read(request)
    token = None if secret is None else await request.app[SESSIONS].find_token(secret)
    if token is None or secret is None:
        return None
    request[SESSION_SECRET] = secret
    return token


def require_private_origin(request: web.Request) -> None:
    """Raise `InsecureSignIn` if others could read the token or the session on its way."""
    if not is_private_origin(request.app[SETTINGS].resource_url):
        raise InsecureSignIn


async def _take_token_of_session(request: web.Request) -> PresentedToken:
    is_form = request.method == hdrs.METH_POST
    if is_form:
        require_same_origin(request, request.app[SETTINGS].resource_url)
    token = await find_session(request)
    if token is None:
        raise TokenMissing
    if is_form:
        request[FORM] = await read_form(request)
        require_form_token(request[FORM], request[SESSION_SECRET])
    return PresentedToken(token, is_in_query=False)


async def _lead_to_sign_in(request: web.Request, error: GuardError) -> web.Response | None:
    """Lead to the page to sign in if there is no session, or if its token no longer works, which ends it."""
    if isinstance(error, TokenMissing):
        return _sign_in_first(request)
    if not isinstance(error, TokenInvalid):
        return None
    await request.app[SESSIONS].end(request[SESSION_SECRET])
    response = web.Response(status=303, headers={"Location": paths.sign_in_path(_way_back(request), ended="token")})
    request.app[SESSION_COOKIE].delete(response)
    return response


async def _end_stream(_request: web.Request, error: GuardError) -> web.Response | None:
    return web.Response(status=204) if isinstance(error, TokenMissing | TokenInvalid) else None


def _sign_in_first(request: web.Request) -> web.Response:
    """Lead to the page to sign in, and from there back to the page that was asked for.

    A browser sends a `SameSite=Strict` cookie only with a request that a page of this host began. After a link on
    another site, this page begins it again.
    """
    came_from = request.headers.get("Sec-Fetch-Site")
    is_form = request.method == hdrs.METH_POST
    if not is_form and came_from in ("cross-site", "same-site"):
        return manage_page(request, "manage_again.html", address=request.rel_url.raw_path_qs)
    ended = {"ended": "true"} if is_form else {}
    return web.Response(status=303, headers={"Location": paths.sign_in_path(_way_back(request), **ended)})


def _way_back(request: web.Request) -> str:
    """Return the page to lead to after signing in; empty for a form that has no page of its own."""
    if request.method != hdrs.METH_POST:
        return request.rel_url.raw_path_qs
    return request.path if request.path.endswith(_FORMS) else ""
