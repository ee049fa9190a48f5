"""Mount the guard on an aiohttp application: its middleware, its background tasks and its metadata route."""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from multidict import istr
from prometheus_client import CollectorRegistry

from shared.contract.introspection import Grant
from shared.contract.redis_names import rate_limit_prefix, ticket_prefix
from shared.guard.access import ScopeNotChecked, TokenAccess
from shared.guard.authority import TokenAuthority, token_authority
from shared.guard.caller import CALLER, Caller
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
from shared.guard.feed import ChangeFeed
from shared.guard.follower import Follower, SyncPace
from shared.guard.guard import Guard, ValidToken
from shared.guard.introspection_limits import IntrospectionLimits
from shared.guard.keys import KeyRing
from shared.guard.lease import Lease
from shared.guard.metadata import RESOURCE_METADATA_ROUTE, resource_metadata
from shared.guard.metrics import GuardMetrics
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
from shared.guard.rules import RULES, Rules, add_rate_limit, count_if_uncounted
from shared.guard.settings import GuardSettings
from shared.guard.stream import GUARD, LEASE, STREAMS, Streams
from shared.guard.tickets import TICKETS, StreamTickets, take_token_or_ticket
from shared.guard.usage import Usage
from shared.runtime.http.address import network_of
from shared.runtime.http.application import add_log_fields
from shared.runtime.http.client_address import client_address
from shared.runtime.http.cors import add_cors, read_origins
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.metrics import METRICS
from shared.runtime.http.problem import problem_response
from shared.runtime.http.request_id import REQUEST_ID
from shared.runtime.http.response_hooks import add_response_hook
from shared.runtime.http.routes import PUBLIC, Route, add_routes, find_unlisted_routes, list_routes, match_route
from shared.runtime.process.clock import elapsed_s
from shared.runtime.process.supervise import supervise
from shared.runtime.redis.client import redis_address_of, redis_client
from shared.runtime.redis.failure_limit import FailureLimit
from shared.runtime.redis.rate_limit import rate_limiter

AUTHORITY: Final = web.AppKey("token_authority", TokenAuthority)
FEED: Final = web.AppKey("feed", ChangeFeed)
FOLLOWER: Final = web.AppKey("follower", Follower)
_ORIGINS: Final = web.AppKey("origins", Origins)
_SETTINGS: Final = web.AppKey("guard_settings", GuardSettings)
_USAGE: Final = web.AppKey("usage", Usage)

_ERRORS_OF_VALID_TOKENS: Final = (
    QueryNotAllowed,
    AddressNotAllowed,
    RateLimited,
    BatchOverRateLimit,
    InsufficientScope,
)


class UnguardedRoute(Exception):
    """A route of a guarded application has no access rule of the guard and is not `PUBLIC`."""


def mount_guard(app: web.Application, settings: GuardSettings) -> None:
    """Let only requests with a working token reach a handler, except on routes whose access is `PUBLIC`.

    Every route of the application has to be mounted by `add_routes`, with `token_with(…)`, `any_token()` or `PUBLIC`
    as its access. The application does not start otherwise: `UnguardedRoute` names the routes. A request for a route
    that was added later is a 500.

    Guard errors, raised here or by `caller(request).require(…)` in a handler, are reported by `GUARD_PROBLEMS`, unless
    the `problem_table` of the route has a row for them.
    """
    app.middlewares.append(_guard_requests)
    add_cors(app, read_origins(settings.cors_origins))
    app[STREAMS] = Streams()
    app[_SETTINGS] = settings
    app.on_startup.insert(0, _require_access_rules)
    app.on_shutdown.append(_end_streams)
    add_response_hook(app, _finish_response)
    app.cleanup_ctx.append(_open(settings))
    add_routes(app, [Route("GET", RESOURCE_METADATA_ROUTE, Endpoint(_show_metadata), PUBLIC)])


async def _require_access_rules(app: web.Application) -> None:
    unguarded = find_unlisted_routes(app) + [
        f"{route.method} {route.path}"
        for route in list_routes(app)
        if not (route.access is PUBLIC or isinstance(route.access, TokenAccess))
    ]
    if unguarded:
        raise UnguardedRoute(
            f"{', '.join(unguarded)}: mount each route by add_routes, with token_with(action), any_token() or PUBLIC "
            "as its access"
        )


@web.middleware
async def _guard_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    route = match_route(request)
    if route is None and request.match_info.http_exception is None:
        raise UnguardedRoute("this route was added after the start, so it has no access rule")
    if route is None or not isinstance(route.access, TokenAccess):
        return await handler(request)
    access = route.access
    try:
        presented = await take_token_or_ticket(request) if access.takes_ticket else take_token(request)
        request[PRESENTED_TOKEN] = presented
        valid = _recall(request, presented) or await _check(request, presented)
        bearer = _note_caller(request, valid)
        if access.counts_items or valid.grant.is_restricted:
            await _check_restrictions(request, presented, valid.grant, access)
        response = await _call_handler(request, handler, access, bearer)
    except GuardError as error:
        if isinstance(error, _ERRORS_OF_VALID_TOKENS):
            request[CALLER].count_refusal()
        return _refuse(request, error, route)
    bearer.count_use()  # for handlers that require no scope
    return response


def _recall(request: web.Request, presented: PresentedToken) -> ValidToken | None:
    """Return what the token grants if the guard may answer from its cache."""
    return None if bypasses_cache(request) else request.app[GUARD].recall(presented.token)


async def _check(request: web.Request, presented: PresentedToken) -> ValidToken:
    """Return what the token grants. Raise `TokenInvalid` with what helps, or what `Guard.check` raises."""
    app, token = request.app, presented.token
    network = network_of(client_address(request, app[_SETTINGS].trusted_proxy_hops))
    try:
        return await app[GUARD].check(token, no_cache=bypasses_cache(request), network=network)
    except TokenInvalid:
        raise token_invalid(token, app[FOLLOWER].issuer) from None


def _note_caller(request: web.Request, valid: ValidToken) -> Caller:
    app = request.app
    add_log_fields(request, token_id=valid.grant.token_id)
    bearer = request[CALLER] = Caller(valid.grant, app[_USAGE], app[_ORIGINS].of(request), valid.age_s)
    return bearer


async def _check_restrictions(
    request: web.Request, presented: PresentedToken, grant: Grant, access: TokenAccess
) -> None:
    """Check the presentation, then count the request against the token's rate limit.

    Raise `QueryNotAllowed`, `AddressNotAllowed` or `RateLimited`. The first two are not counted.
    """
    rules = request.app[RULES]
    rules.check_presentation(request, presented, grant)
    if access.counts_items:
        await rules.check_before_count(request, grant)
    elif grant.rate_limit is not None:
        await rules.count(request, grant, 1)


def _refuse(request: web.Request, error: GuardError, route: Route) -> web.Response:
    table = {**GUARD_PROBLEMS, **route.problem_table}
    response = problem_response(table[type(error)](error), request.get(REQUEST_ID))
    wanted = challenge(error, request.app[_SETTINGS].resource_url)
    if wanted is not None:
        response.headers.setdefault("WWW-Authenticate", wanted)
    return response


async def _call_handler(
    request: web.Request, handler: Handler, access: TokenAccess, bearer: Caller
) -> web.StreamResponse:
    """Return the handler's response. Raise `ScopeNotChecked` in place of a success that it has not asked for."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        access.require_scope_check(bearer, error.status)
        raise
    finally:
        if access.counts_items:
            await count_if_uncounted(request)
    access.require_scope_check(bearer, response.status)
    return response


def _finish_response(request: web.Request, response: web.StreamResponse) -> None:
    """Check a stream before its first byte is sent, and add the headers about the token."""
    if PRESENTED_TOKEN not in request:
        return
    if CALLER in request:
        if not isinstance(response, web.Response):
            _require_scope_check(request, response)
        bearer = request[CALLER]
        response.headers[_TOKEN_VALIDATED_AGE] = str(int(bearer.validated_age_s * 1000))
        if bearer.is_rate_limited:
            add_rate_limit(request, response)
    if request[PRESENTED_TOKEN].is_in_query and not keeps_private(response):
        response.headers[hdrs.CACHE_CONTROL] = "private, no-store"  # RFC 6750 §2.3


_TOKEN_VALIDATED_AGE: Final = istr("Token-Validated-Age")
"""How many milliseconds ago the token was last confirmed to work."""


def _require_scope_check(request: web.Request, response: web.StreamResponse) -> None:
    """Raise `ScopeNotChecked` for a stream, and close its connection, for it has begun."""
    route = match_route(request)
    if route is None or not isinstance(route.access, TokenAccess):
        return
    try:
        route.access.require_scope_check(request[CALLER], response.status)
    except ScopeNotChecked:
        if request.transport is not None:
            request.transport.abort()
        raise


async def _end_streams(app: web.Application) -> None:
    app[STREAMS].end()


async def _show_metadata(request: web.Request) -> web.Response:
    settings, follower = request.app[_SETTINGS], request.app[FOLLOWER]
    issuer = follower.issuer or settings.token_authority_url
    return resource_metadata(settings.resource_url, issuer, follower.lease_s)


def _open(settings: GuardSettings) -> Callable[[web.Application], AsyncGenerator[None, None]]:
    async def open_guard(app: web.Application) -> AsyncGenerator[None, None]:
        registry = app[METRICS] if METRICS in app else CollectorRegistry()
        origins = app[_ORIGINS] = Origins(settings.trusted_proxy_hops, is_reported=settings.report_token_origin)
        metrics, lease, usage = GuardMetrics(registry), Lease(elapsed_s), Usage(elapsed_s, origins)
        async with (
            token_authority(settings) as authority,
            redis_client(settings.redis_url) as redis,
            rate_limiter(settings.redis_url, rate_limit_prefix(settings.introspection_client_id), registry) as limiter,
        ):
            unknown = FailureLimit(limiter, "unknown", settings.unknown_tokens_per_minute, clock=elapsed_s)
            limits = IntrospectionLimits(unknown, clock=elapsed_s)
            guard = Guard(authority.introspect, lease, metrics, clock=elapsed_s, limits=limits)
            follower = Follower(
                guard,
                lease,
                usage,
                authority,
                metrics,
                guard_id=secrets.token_hex(16),
                clock=elapsed_s,
                pace=SyncPace(),
            )
            keys = KeyRing(authority.signing_keys, elapsed_s)
            feed = ChangeFeed(follower, keys, redis, redis_address_of(settings.redis_url), metrics)
            app[AUTHORITY], app[FEED] = authority, feed
            app[GUARD], app[LEASE], app[FOLLOWER], app[_USAGE] = guard, lease, follower, usage
            app[RULES] = Rules(limiter, settings.trusted_proxy_hops)
            app[TICKETS] = StreamTickets(redis, ticket_prefix(settings.introspection_client_id))
            async with (
                _stop_at_exit(follower),
                supervise(app, "follower", follower.run),
                supervise(app, "change feed", feed.run),
            ):
                yield

    return open_guard


@asynccontextmanager
async def _stop_at_exit(follower: Follower) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await follower.stop()
