"""Sign in by an admin key or by a one-time link, and sign out."""

from urllib.parse import urlsplit

from aiohttp import hdrs, web

from services.token_authority.app_keys import FORM, SESSION, SESSION_COOKIE, SESSIONS, SETTINGS
from services.token_authority.domain.errors import Forbidden, SignInLinkEnded, TooManyAttempts, Unauthenticated
from services.token_authority.handlers.access import address_of
from services.token_authority.operations.sessions import Origin
from services.token_authority.pages import paths
from services.token_authority.pages.access import administrator_of
from services.token_authority.pages.page import page
from shared.contract.presented_secret import trim_secret
from shared.runtime.http.address import is_loopback_host
from shared.runtime.http.query import query_of
from shared.runtime.http.request_id import REQUEST_ID
from shared.runtime.pages.cookies import is_private_origin


async def show_start(_request: web.Request) -> web.Response:
    """Lead to the list of tokens."""
    raise web.HTTPSeeOther(paths.TOKENS)


async def show_sign_in(request: web.Request) -> web.Response:
    """Return the page to sign in, or lead to the page that was asked for if there is a session."""
    require_private_origin(request)
    query = query_of(request)
    wanted = next_page(query.optional("next"))
    if SESSION in request:
        raise web.HTTPSeeOther(wanted)
    notice = ""
    if query.optional("ended"):
        notice = "Your session is over, so nothing was changed. Sign in again."
    elif query.optional("out"):
        notice = "You are signed out."
    return sign_in_page(request, wanted, notice=notice)


async def sign_in(request: web.Request) -> web.Response:
    """Start a session by an admin key, and lead to the page that was asked for."""
    require_private_origin(request)
    form = request[FORM]
    wanted, presented = next_page(form.raw("next")), trim_secret(form.raw("admin_key"))
    if not presented:
        return sign_in_page(request, wanted, status=422, error="Enter an admin key.")
    try:
        secret = await request.app[SESSIONS].start_by_admin_key(presented, origin_of(request))
    except Unauthenticated as refusal:
        return sign_in_page(request, wanted, status=401, error=refusal.detail)
    except TooManyAttempts as refusal:
        message = f"{refusal.detail}. Try again in {refusal.retry_after_s} seconds."
        response = sign_in_page(request, wanted, status=429, message=message)
        response.headers[hdrs.RETRY_AFTER] = str(refusal.retry_after_s)
        return response
    return await start_session(request, secret, wanted)


async def sign_in_by_link(request: web.Request) -> web.Response:
    """Start a session by the code of a link, and lead to the list of tokens without the code."""
    require_private_origin(request)
    require_loopback(request)
    if request.method == hdrs.METH_HEAD:  # a preview of the link, which must not use it up
        return sign_in_page(request, paths.TOKENS)
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        message = "Another site has opened the sign-in link. If it is yours, paste it into the address bar."
        return sign_in_page(request, paths.TOKENS, status=403, message=message)
    try:
        secret = await request.app[SESSIONS].start_by_link(query_of(request).optional("code"), origin_of(request))
    except SignInLinkEnded:
        message = "This link was used before, or has expired. `pollgate open` prints another one."
        return sign_in_page(request, paths.TOKENS, status=403, message=message)
    return await start_session(request, secret, paths.TOKENS)


async def sign_out(request: web.Request) -> web.Response:
    """End the session, and lead to the page to sign in."""
    await request.app[SESSIONS].end(request[SESSION], administrator_of(request).actor)
    response = web.Response(status=303, headers={"Location": f"{paths.SIGN_IN}?out=true"})
    request.app[SESSION_COOKIE].delete(response)
    return response


def sign_in_page(
    request: web.Request, wanted: str, *, status: int = 200, message: str = "", error: str = "", notice: str = ""
) -> web.Response:
    """Return the page to sign in. `wanted` is the page to lead to afterwards."""
    settings = request.app[SETTINGS]
    return page(
        request,
        "sign_in.html",
        status=status,
        next=wanted,
        message=message,
        error=error,
        notice=notice,
        provider=settings.oidc_name if settings.oidc_issuer else "",
    )


async def start_session(request: web.Request, secret: str, wanted: str) -> web.Response:
    """End the session that the browser had, send the cookie of the new one, and lead to `wanted`."""
    if SESSION in request:
        await request.app[SESSIONS].end(request[SESSION], administrator_of(request).actor)
    response = web.Response(status=303, headers={"Location": wanted})
    request.app[SESSION_COOKIE].set(response, secret)
    return response


def next_page(path: str) -> str:
    """Return the path if it is one of the settings pages, else that of the list of tokens."""
    return path if paths.is_inside(path) else paths.TOKENS


def origin_of(request: web.Request) -> Origin:
    """Return where the request came from."""
    return Origin(address_of(request), request[REQUEST_ID])


def require_private_origin(request: web.Request) -> None:
    """Raise `Forbidden` if others could read the admin key or the session on its way."""
    if not is_private_origin(request.app[SETTINGS].token_authority_issuer):
        raise Forbidden(
            "Signing in needs HTTPS. Put a proxy with a certificate in front, and set `TOKEN_AUTHORITY_ISSUER` to its "
            "https URL."
        )


def require_loopback(request: web.Request) -> None:
    """Raise `Forbidden` unless the page was opened on this machine."""
    address = address_of(request)
    try:
        is_here = is_loopback_host(urlsplit(f"//{request.host}").hostname or "")
    except ValueError:
        is_here = False
    if not is_here or address is None or not address.is_private:
        raise Forbidden("A sign-in link works only on the machine of the token authority. Sign in with an admin key.")
