"""Every route of the authority, and who may call it."""

from collections.abc import Callable
from typing import Final, NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler

from services.token_authority.handlers import guards, introspection, metadata, revocation, sites, tokens
from services.token_authority.handlers.access import for_administrators, for_everyone, for_services


class Route(NamedTuple):
    """`access` wraps the handler and lets through only who may call it; there is no route without."""

    method: str
    path: str
    handler: Handler
    access: Callable[[Handler], Handler]


ROUTES: Final = (
    Route("GET", "/v1/sites", sites.list_sites, for_administrators),
    Route("POST", "/v1/tokens", tokens.create_token, for_administrators),
    Route("GET", "/v1/tokens", tokens.list_tokens, for_administrators),
    Route("GET", "/v1/tokens/{id}", tokens.show_token, for_administrators),
    Route("POST", "/v1/tokens/revoke", revocation.revoke_tokens, for_administrators),
    Route("POST", "/v1/tokens/{id}/revoke", revocation.revoke_token, for_administrators),
    Route("POST", "/oauth2/introspect", introspection.introspect, for_services),
    Route("POST", "/oauth2/revoke", revocation.revoke_presented_token, for_everyone),
    Route("POST", "/v1/guards/{guard_id}/sync", guards.sync_guard, for_services),
    Route("DELETE", "/v1/guards/{guard_id}", guards.release_guard, for_services),
    Route("GET", "/.well-known/jwks.json", metadata.show_signing_keys, for_everyone),
    Route("GET", "/.well-known/oauth-authorization-server", metadata.show_metadata, for_everyone),
)

FREQUENT_ROUTES: Final = frozenset({"/v1/guards/{guard_id}/sync"})
"""What every guard asks five times a lease."""


def add_routes(app: web.Application) -> None:
    """Mount every route behind its access rule."""
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.access(route.handler))
