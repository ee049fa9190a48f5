"""Sign in through the identity provider of the organisation (OpenID Connect, authorization code flow)."""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from aiohttp import hdrs, web

from services.token_authority.app_keys import IDENTITY_PROVIDER, SESSIONS, SETTINGS, SIGN_IN_COOKIE
from services.token_authority.domain.errors import NoRole, ProviderUnavailable, SignInRefused
from services.token_authority.domain.person import Person, find_rights
from services.token_authority.operations.identity_provider import IdentityProvider, attempt_of
from services.token_authority.operations.sessions import SECRET_BYTES
from services.token_authority.pages import paths
from services.token_authority.pages.sign_in import (
    next_page,
    origin_of,
    require_private_origin,
    sign_in_page,
    start_session,
)
from services.token_authority.problems import PROBLEMS
from shared.runtime.http.problem import problem_for
from shared.runtime.http.query import query_of

ATTEMPT_LIFE_S: Final = 600
"""How long a person has for signing in at the provider."""
MAX_KEPT_PATH: Final = 1000
"""The longest address of a page to which the sign-in leads back."""
START_LIMIT_S: Final = 8.0
CALLBACK_LIMIT_S: Final = 25.0
"""The provider is asked up to four times, each time for up to five seconds."""


async def start_at_provider(request: web.Request) -> web.Response:
    """Lead to the provider, with a cookie that recognises the response to this sign-in."""
    require_private_origin(request)
    provider, wanted = _provider_of(request), next_page(query_of(request).optional("next"))
    secret = secrets.token_urlsafe(SECRET_BYTES)
    try:
        location = await provider.authorization_url(attempt_of(secret))
    except ProviderUnavailable as error:
        return _refused(request, error)
    response = web.Response(status=303, headers={"Location": location})
    request.app[SIGN_IN_COOKIE].set(response, _write_cookie(secret, wanted), ATTEMPT_LIFE_S)
    return response


async def finish_at_provider(request: web.Request) -> web.Response:
    """Start a session of the person that the provider has signed in, and lead to the page that was asked for."""
    require_private_origin(request)
    if request.method == hdrs.METH_HEAD:  # a preview, which must not use up the code
        return sign_in_page(request, paths.TOKENS)
    secret, wanted = _read_cookie(request.app[SIGN_IN_COOKIE].read(request))
    try:
        person = await _authenticate(request, secret)
        group = find_rights(person, request.app[SETTINGS].group_rights).group
    except (NoRole, ProviderUnavailable, SignInRefused) as error:
        return _refused(request, error)
    opened = await request.app[SESSIONS].start_of_person(person.id, person.name, group, origin_of(request))
    response = await start_session(request, opened, wanted)
    request.app[SIGN_IN_COOKIE].delete(response)
    return response


async def _authenticate(request: web.Request, secret: str) -> Person:
    """Return the person of the response. Raise `SignInRefused` or `ProviderUnavailable`."""
    provider, query, attempt = _provider_of(request), query_of(request), attempt_of(secret)
    if not secret or not hmac.compare_digest(query.optional("state").encode(), attempt.state.encode()):
        raise SignInRefused("the sign-in did not begin in this browser, or took longer than ten minutes")
    await provider.require_issuer(query.optional("iss") or None)
    if query.optional("error"):
        raise SignInRefused("the identity provider refused")
    return await provider.authenticate(attempt, query.optional("code"))


def _provider_of(request: web.Request) -> IdentityProvider:
    if IDENTITY_PROVIDER not in request.app:
        raise web.HTTPNotFound
    return request.app[IDENTITY_PROVIDER]


def _refused(request: web.Request, error: Exception) -> web.Response:
    problem = problem_for(error, PROBLEMS)
    response = sign_in_page(request, paths.TOKENS, status=problem.kind.status, message=problem.detail)
    request.app[SIGN_IN_COOKIE].delete(response)
    return response


def _write_cookie(secret: str, wanted: str) -> str:
    kept = wanted if len(wanted) <= MAX_KEPT_PATH else paths.TOKENS
    return f"{secret}.{urlsafe_b64encode(kept.encode()).decode().rstrip('=')}"


def _read_cookie(value: str | None) -> tuple[str, str]:
    """Return the secret of the sign-in, empty without one, and the page to lead to."""
    secret, _, wanted = (value or "").partition(".")
    try:
        return secret, next_page(urlsafe_b64decode(wanted + "=" * (-len(wanted) % 4)).decode())
    except ValueError:
        return secret, paths.TOKENS
