"""Every route of the authority, and who may call it."""

from typing import Any, Final, NamedTuple

from aiohttp import web

from services.token_authority.handlers import (
    admin_keys,
    audit,
    guards,
    held_token,
    introspection,
    keys,
    metadata,
    review,
    revocation,
    services,
    sites,
    tokens,
)
from services.token_authority.handlers.access import (
    Access,
    for_admins,
    for_auditors,
    for_everyone,
    for_holders,
    for_issuers,
    for_readers,
    for_services,
    for_strangers,
)
from services.token_authority.problems import KINDS
from shared.runtime.docs import Documentation, add_docs
from shared.runtime.docs.openapi import Endpoint, Row, Schema, openapi_document


class Route(NamedTuple):
    """`access` wraps the handler and lets through only who may call it; there is no route without."""

    method: str
    path: str
    endpoint: Endpoint
    access: Access


ROUTES: Final = (
    Route("GET", "/v1/sites", sites.list_sites, for_readers),
    Route("POST", "/v1/tokens", tokens.create_token, for_issuers),
    Route("GET", "/v1/tokens", tokens.list_tokens, for_readers),
    Route("GET", "/v1/tokens/review", review.review_tokens, for_readers),
    Route("POST", "/v1/tokens/revoke", revocation.revoke_tokens, for_issuers),
    Route("POST", "/v1/tokens/leaked", revocation.revoke_leaked_tokens, for_strangers),
    Route("GET", "/v1/tokens/{id}", tokens.show_token, for_readers),
    Route("PATCH", "/v1/tokens/{id}", tokens.change_token, for_issuers),
    Route("POST", "/v1/tokens/{id}/disable", tokens.disable_token, for_issuers),
    Route("POST", "/v1/tokens/{id}/enable", tokens.enable_token, for_issuers),
    Route("POST", "/v1/tokens/{id}/rotate", tokens.rotate_token, for_issuers),
    Route("POST", "/v1/tokens/{id}/revoke", revocation.revoke_token, for_issuers),
    Route("GET", "/v1/token", held_token.show_held_token, for_holders),
    Route("POST", "/v1/admin-keys", admin_keys.make_admin_key, for_admins),
    Route("GET", "/v1/admin-keys", admin_keys.list_admin_keys, for_auditors),
    Route("GET", "/v1/admin-keys/own", admin_keys.show_own_admin_key, for_readers),
    Route("POST", "/v1/admin-keys/{key_id}/rotate", admin_keys.rotate_admin_key, for_admins),
    Route("DELETE", "/v1/admin-keys/{key_id}", admin_keys.revoke_admin_key, for_admins),
    Route("POST", "/v1/services", services.make_service, for_admins),
    Route("GET", "/v1/services", services.list_services, for_auditors),
    Route("GET", "/v1/services/{client_id}", services.show_service, for_auditors),
    Route("PATCH", "/v1/services/{client_id}", services.change_service, for_admins),
    Route("POST", "/v1/services/{client_id}/rotate", services.rotate_service, for_admins),
    Route("POST", "/v1/services/{client_id}/disable", services.disable_service, for_admins),
    Route("POST", "/v1/services/{client_id}/enable", services.enable_service, for_admins),
    Route("GET", "/v1/keys", keys.list_keys, for_auditors),
    Route("POST", "/v1/keys/rotate", keys.rotate_keys, for_admins),
    Route("GET", "/v1/audit", audit.list_audit, for_auditors),
    Route("GET", "/v1/audit/export", audit.export_audit, for_auditors),
    Route("POST", "/oauth2/introspect", introspection.introspect, for_services),
    Route("POST", "/oauth2/introspect/batch", introspection.introspect_many, for_services),
    Route("POST", "/oauth2/revoke", revocation.revoke_presented_token, for_strangers),
    Route("POST", "/v1/guards/{guard_id}/sync", guards.sync_guard, for_services),
    Route("DELETE", "/v1/guards/{guard_id}", guards.release_guard, for_services),
    Route("GET", "/.well-known/jwks.json", metadata.show_signing_keys, for_everyone),
    Route("GET", "/.well-known/oauth-authorization-server", metadata.show_metadata, for_everyone),
)

FREQUENT_ROUTES: Final = frozenset({"/v1/guards/{guard_id}/sync"})
"""What every guard asks five times a lease."""

OAUTH_ROUTES: Final = frozenset(route.path for route in ROUTES if route.path.startswith("/oauth2/"))
"""Where OAuth clients call, which know an error by its OAuth code."""

INFO: Final = {
    "title": "Pollgate token authority",
    "version": "1",
    "description": "Issues, finds, changes, rotates and revokes scoped access tokens, and answers introspection.",
}
SECURITY_SCHEMES: Final[dict[str, dict[str, Any]]] = {
    "admin_key": {"type": "http", "scheme": "bearer", "description": "An admin key, pga_…"},
    "service": {"type": "http", "scheme": "basic", "description": "A service's client id and secret, pgs_…"},
    "service_assertion": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A JWT that the service has signed with its own key (RFC 7523), good once",
    },
    "token": {"type": "http", "scheme": "bearer", "description": "An access token, pgt_…"},
}


def add_routes(app: web.Application) -> None:
    """Mount every route behind its access rule, and the pages that describe them."""
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.access.wrap(route.endpoint.handler))
    add_docs(app, DOCUMENTATION)


def _describe() -> Schema:
    return openapi_document(INFO, [_row(route) for route in ROUTES], SECURITY_SCHEMES)


def _row(route: Route) -> Row:
    endpoint, access = route.endpoint, route.access
    operation = access.describe(endpoint.operation)
    return Row(route.method, route.path, endpoint.name, operation, access.security)


DOCUMENTATION: Final = Documentation(_describe, KINDS)
"""Made at the first request for it, once per process."""
