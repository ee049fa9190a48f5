"""Let a request through to its handler if its token works and may be used like this, and refuse it otherwise."""

from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from multidict import istr

from shared.guard.caller import CALLER, Caller, ScopeNotChecked
from shared.guard.challenge import challenge
from shared.guard.errors import (
    AddressNotAllowed,
    BatchOverRateLimit,
    GuardError,
    InsufficientScope,
    QueryNotAllowed,
    RateLimited,
    TokenInvalid,
)
from shared.guard.follower import Follower
from shared.guard.guard import Guard, ValidToken
from shared.guard.origin import Origins
from shared.guard.presentation import (
    PRESENTED_TOKEN,
    PresentedToken,
    bypasses_cache,
    keeps_private,
    take_token,
    token_invalid,
)
from shared.guard.problems import GUARD_PROBLEMS
from shared.guard.rules import RULES, add_rate_limit, count_if_uncounted
from shared.guard.settings import GuardSettings
from shared.guard.usage import Usage
from shared.runtime.http.address import network_of
from shared.runtime.http.application import add_log_fields
from shared.runtime.http.client_address import client_address
from shared.runtime.http.problem import problem_for, problem_response
from shared.runtime.http.request_id import REQUEST_ID
from shared.runtime.http.routes import match_route

if TYPE_CHECKING:
    from shared.guard.access import TokenAccess

GUARD_SETTINGS: Final = web.AppKey("guard_settings", GuardSettings)

_ERRORS_OF_VALID_TOKENS: Final = (
    QueryNotAllowed,
    AddressNotAllowed,
    RateLimited,
    BatchOverRateLimit,
    InsufficientScope,
)


class Admissions:
    """Finds the callers of requests. Create one instance per guard."""

    def __init__(self, guard: Guard, follower: Follower, usage: Usage, origins: Origins, proxy_hops: int) -> None:
        self._guard = guard
        self._follower = follower
        self._usage = usage
        self._origins = origins
        self._proxy_hops = proxy_hops

    def recall(self, request: web.Request, token: str) -> ValidToken | None:
        """Return what the token grants if the guard may answer from its cache."""
        return None if bypasses_cache(request) else self._guard.recall(token)

    async def check(self, request: web.Request, token: str) -> ValidToken:
        """Return what the token grants. Raise `TokenInvalid` with what helps, or what `Guard.check` raises."""
        network = network_of(client_address(request, self._proxy_hops))
        try:
            return await self._guard.check(token, no_cache=bypasses_cache(request), network=network)
        except TokenInvalid:
            raise token_invalid(token, self._follower.issuer) from None

    def caller_of(self, request: web.Request, valid: ValidToken, access: "TokenAccess") -> Caller:
        """Return the caller, which is noted for the handler and in the log line."""
        add_log_fields(request, token_id=valid.grant.token_id)
        origin = self._origins.of(request)
        caller = request[CALLER] = Caller(valid.grant, self._usage, origin, valid.age_s, access.actions)
        return caller


ADMISSIONS: Final = web.AppKey("admissions", Admissions)


def admit_to(handler: Handler, access: "TokenAccess") -> Handler:
    """Return a handler that lets only requests with a working token through to this one.

    Raise `ScopeNotChecked` in place of a success of `handler` that it has not asked for.
    """
    if access.counts_items:
        handler = _count_items_of(handler)

    async def admit(request: web.Request) -> web.StreamResponse:
        try:
            presented = await access.find_token(request) if access.find_token else take_token(request)
            request[PRESENTED_TOKEN] = presented
            admissions = request.app[ADMISSIONS]
            valid = admissions.recall(request, presented.token) or await admissions.check(request, presented.token)
            caller = admissions.caller_of(request, valid, access)
            if access.counts_items or valid.grant.is_restricted:
                await _check_restrictions(request, presented, valid, access)
            response = await handler(request)
        except GuardError as error:
            if isinstance(error, _ERRORS_OF_VALID_TOKENS):
                request[CALLER].count_refusal()
            return await _refuse(request, error, access)
        except web.HTTPException as error:
            if CALLER in request:
                request[CALLER].require_scope_check(error.status)
            raise
        caller.require_scope_check(response.status)
        caller.count_use()  # for handlers that require no scope
        return response

    return admit


def _count_items_of(handler: Handler) -> Handler:
    """Return a handler that counts one request if this one, which should call `count_items`, does not."""

    async def count(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        finally:
            await count_if_uncounted(request)

    return count


async def _check_restrictions(
    request: web.Request, presented: PresentedToken, valid: ValidToken, access: "TokenAccess"
) -> None:
    """Check the presentation, then count the request against the token's rate limit.

    Raise `QueryNotAllowed`, `AddressNotAllowed` or `RateLimited`. The first two are not counted.
    """
    rules, grant = request.app[RULES], valid.grant
    rules.check_presentation(request, presented, grant)
    if access.counts_items:
        await rules.check_before_count(request, grant)
    elif grant.rate_limit is not None:
        await rules.count(request, grant, 1)


async def _refuse(request: web.Request, error: GuardError, access: "TokenAccess") -> web.StreamResponse:
    shown = await access.show_refusal(request, error) if access.show_refusal else None
    if shown is not None:
        return shown
    route = match_route(request)
    table = {**GUARD_PROBLEMS, **route.problem_table} if route else GUARD_PROBLEMS
    response = problem_response(problem_for(error, table), request.get(REQUEST_ID))
    wanted = challenge(error, request.app[GUARD_SETTINGS].resource_url)
    if wanted is not None:
        response.headers.setdefault("WWW-Authenticate", wanted)
    return response


def finish_response(request: web.Request, response: web.StreamResponse) -> None:
    """Check a stream before its first byte is sent, and add the headers about the token."""
    try:
        presented = request[PRESENTED_TOKEN]
    except KeyError:
        return
    if CALLER in request:
        caller = request[CALLER]
        if not hasattr(response, "body"):  # a stream
            _require_scope_check(request, response)
        response.headers[_TOKEN_VALIDATED_AGE] = str(int(caller.validated_age_s * 1000))
        if caller.is_rate_limited:
            add_rate_limit(request, response)
    if presented.is_in_query and not keeps_private(response):
        response.headers[hdrs.CACHE_CONTROL] = "private, no-store"  # RFC 6750 §2.3


_TOKEN_VALIDATED_AGE: Final = istr("Token-Validated-Age")
"""How many milliseconds ago the token was last confirmed to work."""


def _require_scope_check(request: web.Request, response: web.StreamResponse) -> None:
    """Raise `ScopeNotChecked` for a stream, and close its connection, for it has begun."""
    try:
        request[CALLER].require_scope_check(response.status)
    except ScopeNotChecked:
        if request.transport is not None:
            request.transport.abort()
        raise
