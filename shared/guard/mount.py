"""Puts the guard before every route of an aiohttp application."""

from collections.abc import AsyncGenerator, Callable, Collection
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from shared.guard.caller import CALLER, Caller
from shared.guard.errors import (
    GuardError,
    GuardUnavailable,
    InsufficientScope,
    TokenInvalid,
    TokenMissing,
    TokenTwice,
)
from shared.guard.feed import ChangeFeed
from shared.guard.guard import Guard
from shared.guard.introspection import Introspection, introspection
from shared.guard.presented import presented_token
from shared.guard.settings import GuardSettings
from shared.runtime.health import HEALTH_ROUTES
from shared.runtime.problem import Problem, ProblemTable, problem_response, unavailable
from shared.runtime.redis import redis_address_of, redis_client
from shared.runtime.request_id import REQUEST_ID
from shared.runtime.request_line import LOG_FIELDS
from shared.runtime.supervised import supervised

GUARD: Final = web.AppKey("guard", Guard)
FEED: Final = web.AppKey("feed", ChangeFeed)
INTROSPECTION: Final = web.AppKey("introspection", Introspection)


def _unauthorized(detail: str, challenge: str) -> Problem:
    return Problem(401, "unauthorized", "Unauthorized", detail, headers={"WWW-Authenticate": challenge})


GUARD_PROBLEMS: Final[ProblemTable] = {
    TokenMissing: lambda _: _unauthorized("Send an access token, as '?token=' or as a bearer.", "Bearer"),
    TokenInvalid: lambda _: _unauthorized("This access token does not work.", 'Bearer error="invalid_token"'),
    TokenTwice: lambda _: Problem(400, "token-twice", "Bad request", "Send the access token once, in one place."),
    InsufficientScope: lambda e: Problem(
        *(403, "insufficient-scope", "Forbidden", f"The token's scopes do not reach; '{e.needed}' would."),
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{e.needed}"'},
    ),
    GuardUnavailable: lambda _: unavailable("The token cannot be checked at the moment; try again."),
}
"""How a guard's errors are told (RFC 6750 §3.1) where a service does not say otherwise."""


def mount_guard(
    app: web.Application,
    settings: GuardSettings,
    *,
    public: Collection[str] = HEALTH_ROUTES,
    problems: ProblemTable = GUARD_PROBLEMS,
) -> None:
    """Let only requests with a good token reach a handler, but for the routes whose templates are in `public`.

    `problems` tells every guard error, from here or raised in a handler by `caller(request).require(…)`.
    """
    app.middlewares.append(_guarded(frozenset(public), {**GUARD_PROBLEMS, **problems}))
    app.cleanup_ctx.append(_open(settings))


def _guarded(public: frozenset[str], problems: ProblemTable) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if resource is None or resource.canonical in public:
            return await handler(request)
        try:
            grant = await request.app[GUARD].check(presented_token(request))
            request[CALLER] = Caller(grant)
            request[LOG_FIELDS] = {"token_id": grant.token_id}
            return await handler(request)
        except GuardError as error:
            return problem_response(problems[type(error)](error), request.get(REQUEST_ID))

    return middleware


def _open(settings: GuardSettings) -> Callable[[web.Application], AsyncGenerator[None, None]]:
    async def opened(app: web.Application) -> AsyncGenerator[None, None]:
        async with introspection(settings) as asking, redis_client(settings.redis_url) as redis:
            app[INTROSPECTION] = asking
            app[GUARD] = Guard(asking)
            app[FEED] = ChangeFeed(app[GUARD], redis, redis_address_of(settings.redis_url))
            async with supervised(app, "change feed", app[FEED].run):
                yield

    return opened
