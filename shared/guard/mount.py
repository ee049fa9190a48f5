"""Mount the guard on an aiohttp application: its background tasks, its check of the routes, and its metadata route."""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry

from shared.contract.redis_names import rate_limit_prefix, ticket_prefix
from shared.guard.access import TokenAccess
from shared.guard.admission import ADMISSIONS, GUARD_SETTINGS, Admissions, finish_response
from shared.guard.authority import TokenAuthority, token_authority
from shared.guard.feed import ChangeFeed
from shared.guard.follower import Follower, SyncPace
from shared.guard.guard import Guard
from shared.guard.introspection_limits import IntrospectionLimits
from shared.guard.keys import KeyRing
from shared.guard.lease import Lease
from shared.guard.metadata import RESOURCE_METADATA_ROUTE, resource_metadata
from shared.guard.metrics import GuardMetrics
from shared.guard.origin import Origins
from shared.guard.rules import RULES, Rules
from shared.guard.settings import GuardSettings
from shared.guard.state_metrics import show_state
from shared.guard.stream import GUARD, LEASE, STREAMS, Streams
from shared.guard.tickets import TICKETS, StreamTickets
from shared.guard.usage import Usage
from shared.runtime.http.cors import add_cors, read_origins
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.metrics import METRICS
from shared.runtime.http.response_hooks import add_response_hook
from shared.runtime.http.routes import (
    PUBLIC,
    ROUTE_WRAPPER,
    Route,
    add_routes,
    find_unlisted_routes,
    list_routes,
    match_route,
)
from shared.runtime.process.clock import elapsed_s
from shared.runtime.process.supervise import supervise
from shared.runtime.redis.client import redis_client
from shared.runtime.redis.failure_limit import FailureLimit
from shared.runtime.redis.rate_limit import rate_limiter

AUTHORITY: Final = web.AppKey("token_authority", TokenAuthority)
FEED: Final = web.AppKey("feed", ChangeFeed)
FOLLOWER: Final = web.AppKey("follower", Follower)


class UnguardedRoute(Exception):
    """A route of a guarded application has no access rule of the guard and is not `PUBLIC`."""


def mount_guard(app: web.Application, settings: GuardSettings) -> None:
    """Let only requests with a working token reach a handler, except on routes whose access is `PUBLIC`.

    Every route of the application has to be mounted by `add_routes`, with `token_with(…)`, `any_token()` or `PUBLIC`
    as its access. The application does not start otherwise: `UnguardedRoute` names the routes. A request for a route
    that was added later is a 500; a service that `create_application` and `run_service` make does not start then.

    Guard errors, raised here or by `caller(request).require(…)` in a handler, are reported by `GUARD_PROBLEMS`, unless
    the `problem_table` of the route has a row for them.
    """
    if ROUTE_WRAPPER not in app:  # it was not made by `create_application`, and may have other routes
        app.middlewares.append(_refuse_unlisted)
    add_cors(app, read_origins(settings.cors_origins))
    app[STREAMS] = Streams()
    app[GUARD_SETTINGS] = settings
    app.on_startup.insert(0, _require_access_rules)
    app.on_shutdown.append(_end_streams)
    add_response_hook(app, finish_response)
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
async def _refuse_unlisted(request: web.Request, handler: Handler) -> web.StreamResponse:
    if match_route(request) is None and request.match_info.http_exception is None:
        raise UnguardedRoute("this route was added after the start, so it has no access rule")
    return await handler(request)


async def _end_streams(app: web.Application) -> None:
    app[STREAMS].end()


async def _show_metadata(request: web.Request) -> web.Response:
    settings, follower = request.app[GUARD_SETTINGS], request.app[FOLLOWER]
    issuer = follower.issuer or settings.token_authority_url
    return resource_metadata(settings.resource_url, issuer, follower.lease_s)


def _open(settings: GuardSettings) -> Callable[[web.Application], AsyncGenerator[None, None]]:
    async def open_guard(app: web.Application) -> AsyncGenerator[None, None]:
        registry = app[METRICS] if METRICS in app else CollectorRegistry()
        origins = Origins(settings.trusted_proxy_hops, is_reported=settings.report_token_origin)
        metrics, lease, usage = GuardMetrics(registry), Lease(elapsed_s), Usage(elapsed_s, origins)
        async with (
            token_authority(settings) as authority,
            redis_client(settings.redis_url) as redis,
        ):
            limiter = rate_limiter(redis, rate_limit_prefix(settings.introspection_client_id), registry)
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
            feed = ChangeFeed(follower, keys, redis, metrics)
            show_state(registry, guard, lease, follower, feed)
            app[AUTHORITY], app[FEED] = authority, feed
            app[GUARD], app[LEASE], app[FOLLOWER] = guard, lease, follower
            app[ADMISSIONS] = Admissions(guard, follower, usage, origins, settings.trusted_proxy_hops)
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
