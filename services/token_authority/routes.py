"""Every route of the token authority, with its access rule."""

from functools import partial
from typing import Any, Final

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
    sign_in_links,
    sites,
    token_lookup,
    tokens,
)
from services.token_authority.handlers.access import (
    ADMINS,
    ANONYMOUS,
    ANONYMOUS_REPORT,
    AUDITORS,
    ISSUERS,
    READERS,
    SERVICES,
    SERVICES_DURING_RESTORATION,
    TOKEN_HOLDER,
)
from services.token_authority.payloads.fields import EXAMPLE_TOKEN, EXAMPLE_TOKEN_ID
from services.token_authority.problems import PROBLEM_TYPES
from shared.contract.restoration import MAX_REPORT_BYTES
from shared.contract.sync import MAX_SYNC_BYTES
from shared.runtime.docs import Documentation, Variable
from shared.runtime.http.routes import PUBLIC, Excess, Route

MAX_FORM_BYTES: Final = 8 * 1024
"""Enough for a token and a client assertion."""
_FormRoute = partial(Route, body_limit=MAX_FORM_BYTES, reports_oauth_errors=True)

ROUTES: Final = (
    Route("GET", "/v1/sites", sites.list_sites, READERS),
    Route("POST", "/v1/tokens", tokens.create_token, ISSUERS),
    Route("GET", "/v1/tokens", tokens.list_tokens, READERS),
    Route("GET", "/v1/tokens/review", review.review_tokens, READERS),
    Route("POST", "/v1/tokens/review/complete", review.complete_review, ADMINS),
    Route("POST", "/v1/tokens/find", token_lookup.find_token, READERS),
    Route("POST", "/v1/tokens/revoke", revocation.revoke_tokens, ISSUERS),
    Route("POST", "/v1/tokens/leaked", revocation.revoke_leaked_tokens, ANONYMOUS_REPORT, excess=Excess.WAIT),
    Route("GET", "/v1/tokens/{id}", tokens.show_token, READERS),
    Route("PATCH", "/v1/tokens/{id}", tokens.change_token, ISSUERS),
    Route("POST", "/v1/tokens/{id}/keep", review.keep_finding, ISSUERS),
    Route("POST", "/v1/tokens/{id}/disable", tokens.disable_token, ISSUERS),
    Route("POST", "/v1/tokens/{id}/enable", tokens.enable_token, ISSUERS),
    Route("POST", "/v1/tokens/{id}/rotate", tokens.rotate_token, ISSUERS),
    Route("POST", "/v1/tokens/{id}/revoke", revocation.revoke_token, ISSUERS),
    Route("GET", "/v1/token", held_token.show_held_token, TOKEN_HOLDER),
    Route("POST", "/v1/token/rotate", held_token.rotate_held_token, TOKEN_HOLDER),
    Route("POST", "/v1/admin-keys", admin_keys.create_admin_key, ADMINS),
    Route("GET", "/v1/admin-keys", admin_keys.list_admin_keys, AUDITORS),
    Route("GET", "/v1/admin-keys/own", admin_keys.show_own_admin_key, READERS),
    Route("PATCH", "/v1/admin-keys/{key_id}", admin_keys.change_admin_key, ADMINS),
    Route("POST", "/v1/admin-keys/{key_id}/rotate", admin_keys.rotate_admin_key, ADMINS),
    Route("DELETE", "/v1/admin-keys/{key_id}", admin_keys.revoke_admin_key, ADMINS),
    Route("POST", "/v1/sign-in-links", sign_in_links.create_sign_in_link, READERS),
    Route("POST", "/v1/services", services.create_service, ADMINS),
    Route("GET", "/v1/services", services.list_services, AUDITORS),
    Route("GET", "/v1/services/{client_id}", services.show_service, AUDITORS),
    Route("PATCH", "/v1/services/{client_id}", services.change_service, ADMINS),
    Route("POST", "/v1/services/{client_id}/rotate", services.rotate_service, ADMINS),
    Route("POST", "/v1/services/{client_id}/disable", services.disable_service, ADMINS),
    Route("POST", "/v1/services/{client_id}/enable", services.enable_service, ADMINS),
    Route("GET", "/v1/keys", keys.list_keys, AUDITORS),
    Route("POST", "/v1/keys/rotate", keys.rotate_keys, ADMINS),
    Route("GET", "/v1/audit", audit.list_audit, AUDITORS),
    Route("GET", "/v1/audit/export", audit.export_audit, AUDITORS),
    Route("POST", "/v1/audit/verify", audit.verify_audit, AUDITORS),
    _FormRoute("POST", "/oauth2/introspect", introspection.introspect, SERVICES),
    Route("POST", "/oauth2/introspect/batch", introspection.introspect_many, SERVICES, reports_oauth_errors=True),
    _FormRoute("POST", "/oauth2/revoke", revocation.revoke_presented_token, ANONYMOUS, excess=Excess.WAIT),
    Route(
        "POST",
        "/v1/guards/{guard_id}/sync",
        guards.sync_guard,
        SERVICES,
        body_limit=MAX_SYNC_BYTES,
        logs_success=False,
    ),
    Route(
        "POST",
        "/v1/guards/{guard_id}/changes",
        guards.report_changes,
        SERVICES_DURING_RESTORATION,
        body_limit=MAX_REPORT_BYTES,
    ),
    Route("DELETE", "/v1/guards/{guard_id}", guards.release_guard, SERVICES),
    Route("GET", "/.well-known/jwks.json", metadata.show_signing_keys, PUBLIC, excess=Excess.WAIT),
    Route("GET", "/.well-known/oauth-authorization-server", metadata.show_metadata, PUBLIC, excess=Excess.WAIT),
)

INFO: Final = {
    "title": "Pollgate token authority",
    "version": "1",
    "description": "Issues, finds, changes, rotates, revokes and introspects scoped access tokens.",
}
SECURITY_SCHEMES: Final[dict[str, dict[str, Any]]] = {
    "admin_key": {"type": "http", "scheme": "bearer", "description": "An admin key, pga_…"},
    "service": {"type": "http", "scheme": "basic", "description": "A service's client id and secret, pgs_…"},
    "service_assertion": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A JWT signed by the service with its own key (RFC 7523), which can be used once",
    },
    "token": {"type": "http", "scheme": "bearer", "description": "An access token, pgt_…"},
}


VARIABLES: Final = (
    Variable(
        name="POLLGATE_ADMIN_KEY",
        meaning="an admin key, `pga_…`; `pollgate up` writes the first one to `.pollgate/admin.key`",
        schemes=("admin_key",),
    ),
    Variable(name="POLLGATE_TOKEN", meaning="an access token, `pgt_…`", schemes=("token",), value=EXAMPLE_TOKEN),
    Variable(name="TOKEN_ID", meaning="the id of a token, `tok_…`", parameter="id", value=EXAMPLE_TOKEN_ID),
    Variable(name="ADMIN_KEY_ID", meaning="the id of an admin key", parameter="key_id"),
    Variable(name="CLIENT_ID", meaning="the client id of a service", schemes=("service",), parameter="client_id"),
    Variable(name="CLIENT_SECRET", meaning="the client secret of that service, `pgs_…`", schemes=("service",)),
    Variable(
        name="GUARD_ID",
        meaning="the id of a guard, 16 to 64 letters and digits",
        parameter="guard_id",
    ),
)
DOCUMENTATION: Final = Documentation(INFO, ROUTES, SECURITY_SCHEMES, PROBLEM_TYPES, VARIABLES)
"""Rendered with the first request for it, once per process."""
