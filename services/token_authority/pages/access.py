"""Access rules of the settings pages: a session in some role, and forms that only our own pages can send."""

from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from services.token_authority.app_keys import FORM, SESSION, SESSION_COOKIE, SESSION_SECRET, SESSIONS, SETTINGS
from services.token_authority.domain.administrator import Administrator, Role
from services.token_authority.domain.errors import Forbidden
from services.token_authority.handlers.access import address_of
from services.token_authority.pages.page import page
from services.token_authority.pages.paths import SIGN_IN
from shared.runtime.http.application import add_log_fields
from shared.runtime.http.open_requests import mark_as_refused
from shared.runtime.http.request_id import REQUEST_ID
from shared.runtime.http.routes import Access
from shared.runtime.pages.forms import read_form, require_form_token, require_same_origin

_FORMS: Final = ("/new", "/_new", "/edit", "/rotate", "/disable", "/revoke")
"""How the paths of forms end, to which one is led back after signing in again."""


def _session_in(*roles: Role, within_limits: bool = False) -> Access:
    """Require a session with one of these roles; without one, lead to the sign-in page.

    With `within_limits`, also accept rights with limits on sites or scopes; the page then enforces them.
    """

    def restrict(handler: Handler) -> Handler:
        async def wrapper(request: web.Request) -> web.StreamResponse:
            is_form = request.method == hdrs.METH_POST
            if is_form:
                require_same_origin(request, request.app[SETTINGS].token_authority_issuer)
            if not await _find_session(request):
                return _sign_in_first(request)
            rights = request[SESSION].rights
            if is_form:
                request[FORM] = await read_form(request)
                require_form_token(request[FORM], request[SESSION_SECRET])
            if rights.role not in roles:
                raise Forbidden(f"This page is for the role {named}; yours is {rights.role}.")
            if not (within_limits or rights.sees_all):
                raise Forbidden("This page is for administrators without limits on sites and scopes.")
            return await handler(request)

        return wrapper

    named = " or ".join(roles)
    return Access(restrict)


READERS: Final = _session_in("admin", "issuer", "auditor", within_limits=True)
"""Administrators that may read tokens, within their limits."""
ISSUERS: Final = _session_in("admin", "issuer", within_limits=True)
"""Administrators that may issue and manage tokens, within their limits."""
AUDITORS: Final = _session_in("admin", "auditor")
"""Administrators that may read everything."""
ADMINS: Final = _session_in("admin")
"""Administrators that may change everything."""


def _for_visitors(handler: Handler) -> Handler:
    async def wrapper(request: web.Request) -> web.StreamResponse:
        if request.method == hdrs.METH_POST:
            require_same_origin(request, request.app[SETTINGS].token_authority_issuer)
            request[FORM] = await read_form(request)
        await _find_session(request)
        return await handler(request)

    return wrapper


VISITORS: Final = Access(_for_visitors)
"""Anyone who opens the page, with a session or without."""


def administrator_of(request: web.Request) -> Administrator:
    """Return the administrator whose session the request belongs to."""
    address = address_of(request)
    return request[SESSION].administrator(None if address is None else str(address), request[REQUEST_ID])


async def _find_session(request: web.Request) -> bool:
    secret = request.app[SESSION_COOKIE].read(request)
    session = None if secret is None else await request.app[SESSIONS].find(secret)
    if session is None or secret is None:
        return False
    request[SESSION], request[SESSION_SECRET] = session, secret
    add_log_fields(request, session_id=session.id, **{f"{session.actor_kind}_id": session.actor_id})
    return True


def _sign_in_first(request: web.Request) -> web.Response:
    """Lead to the sign-in page, and from there back to the page that was asked for.

    A browser sends a `SameSite=Strict` cookie only with a request that a page of this host began. After a link on
    another site, this page begins it again.
    """
    mark_as_refused(request)
    came_from = request.headers.get("Sec-Fetch-Site")
    is_form = request.method == hdrs.METH_POST
    if not is_form and came_from in ("cross-site", "same-site"):
        return page(request, "again.html", address=request.rel_url.raw_path_qs)
    if not is_form:
        raise web.HTTPSeeOther(f"{SIGN_IN}?next={quote(request.rel_url.raw_path_qs, safe='/')}")
    form = f"&next={quote(request.path, safe='/')}" if request.path.endswith(_FORMS) else ""
    raise web.HTTPSeeOther(f"{SIGN_IN}?ended=true{form}")
