"""Access rules of routes: an admin key, a service's credential, or none."""

from functools import partial
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from services.token_authority.app_keys import ADMIN_KEY, ATTEMPTS, CREDENTIALS, SERVICE, SETTINGS
from services.token_authority.domain.actor import Actor
from services.token_authority.domain.administrator import Administrator, Role
from services.token_authority.domain.errors import AmbiguousCredential, Forbidden
from services.token_authority.domain.service import Service
from services.token_authority.handlers.presented_credential import bearer_of, service_credential
from services.token_authority.operations.credentials import ClientSecret
from shared.runtime.http.address import Address
from shared.runtime.http.application import BodyTooLarge, UnsupportedCoding, add_log_fields
from shared.runtime.http.client_address import client_address
from shared.runtime.http.problem import BadRequest, InvalidBody, UnsupportedMediaType
from shared.runtime.http.request_id import REQUEST_ID
from shared.runtime.http.routes import Access


def _admin_key_in(*roles: Role, within_limits: bool = False) -> Access:
    """Require an admin key in one of these roles as bearer token (RFC 6750 §2.1).

    With `within_limits`, also accept a key with limits on sites or scopes; the handler then enforces them.
    """

    def restrict(handler: Handler) -> Handler:
        async def wrapper(request: web.Request) -> web.StreamResponse:
            presented = presented_admin_key(request)
            key = await request.app[CREDENTIALS].authenticate_admin_key(presented, address_of(request))
            request[ADMIN_KEY] = key
            add_log_fields(request, admin_key_id=key.id)
            if key.role not in roles:
                raise Forbidden(f"This requires an admin key in the role {named}; yours is {key.role}.")
            if not (within_limits or key.sees_all):
                raise Forbidden("This requires an admin key without limits on sites and scopes.")
            return await handler(request)

        return wrapper

    named = " or ".join(roles)
    forbidden = {403: f"The admin key is not in the role {named}, or the request goes beyond its limits."}
    return Access(restrict, ("admin_key",), f"For admin keys in the role {named}.", {**forbidden, **_TOO_MANY_WRONG})


_TOO_MANY_WRONG: Final = {429: "Too many wrong credentials from this address or for this client id; see `Retry-After`."}
_TOO_MANY_FROM_ADDRESS: Final = {
    429: "Too many unknown tokens or unreadable bodies were sent from this address; see `Retry-After`."
}


READERS: Final = _admin_key_in("admin", "issuer", "auditor", within_limits=True)
"""Admin keys that may read tokens, within their limits."""
ISSUERS: Final = _admin_key_in("admin", "issuer", within_limits=True)
"""Admin keys that may issue and manage tokens, within their limits."""
AUDITORS: Final = _admin_key_in("admin", "auditor")
"""Admin keys that may read everything."""
ADMINS: Final = _admin_key_in("admin")
"""Admin keys that may change everything."""


def _require_service(handler: Handler, *, during_restoration: bool = False) -> Handler:
    async def wrapper(request: web.Request) -> web.StreamResponse:
        service = await _authenticate_service(request, during_restoration=during_restoration)
        request[SERVICE] = service
        add_log_fields(request, client_id=service.client_id)
        return await handler(request)

    return wrapper


async def _authenticate_service(request: web.Request, *, during_restoration: bool) -> Service:
    credentials = request.app[CREDENTIALS]
    try:
        presented = await service_credential(request)
    except (BadRequest, AmbiguousCredential) as refusal:
        await request.app[ATTEMPTS].record_unreadable_body(address_of(request), refusal)
    if isinstance(presented, ClientSecret):
        return await credentials.authenticate_by_secret(
            presented, address_of(request), during_restoration=during_restoration
        )
    return await credentials.authenticate_by_assertion(
        presented, address_of(request), request.path, during_restoration=during_restoration
    )


SERVICES: Final = Access(_require_service, ("service", "service_assertion"), problems=_TOO_MANY_WRONG)
"""Services, by client id and secret over HTTP Basic (RFC 6749 §2.3.1) or by a signed JWT (RFC 7523 §2.2)."""
SERVICES_DURING_RESTORATION: Final = Access(
    partial(_require_service, during_restoration=True), ("service", "service_assertion"), problems=_TOO_MANY_WRONG
)
"""Services, also while the database is restored and nothing else is accepted."""
_UNREADABLE: Final = (BadRequest, BodyTooLarge, InvalidBody, UnsupportedCoding, UnsupportedMediaType)


def _count_unreadable_bodies(handler: Handler) -> Handler:
    """Count bodies that cannot be read. Beyond the limit, they are 429."""

    async def wrapper(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except _UNREADABLE as refusal:
            await request.app[ATTEMPTS].record_unreadable_body(address_of(request), refusal)

    return wrapper


def _require_readable_bodies(handler: Handler) -> Handler:
    """Do that, and refuse a request before its body is read if too many from its address could not be read."""

    async def wrapper(request: web.Request) -> web.StreamResponse:
        await request.app[ATTEMPTS].require_readable_bodies(address_of(request))
        return await counting(request)

    counting = _count_unreadable_bodies(handler)
    return wrapper


ANONYMOUS: Final = Access(problems=_TOO_MANY_FROM_ADDRESS, limit_bodies=_count_unreadable_bodies)
"""No credential but the token in a short body, so that a holder can always revoke. The handler limits and counts
lookups.
"""
ANONYMOUS_REPORT: Final = Access(problems=_TOO_MANY_FROM_ADDRESS, limit_bodies=_require_readable_bodies)
"""A report of leaked tokens, with a long body."""
TOKEN_HOLDER: Final = Access(security=("token",), problems=_TOO_MANY_WRONG)
"""The holder of an access token, sent as bearer token. The handler validates and counts it."""


def presented_admin_key(request: web.Request) -> str:
    """Return the secret of the admin key that the request presents. Raise `CredentialMissing`."""
    return bearer_of(request, "an admin key as 'Authorization: Bearer pga_…'")


def administrator_of(request: web.Request) -> Administrator:
    """Return the administrator that sent the request."""
    key = request[ADMIN_KEY]
    return Administrator(key, Actor("admin_key", key.id, _address(request), request[REQUEST_ID]))


def holder_of(request: web.Request, token_id: str | None) -> Actor:
    """Return the holder of a token as an actor; `token_id` is `None` for several tokens."""
    return Actor("holder", token_id, _address(request), request[REQUEST_ID])


def address_of(request: web.Request) -> Address | None:
    """Return the address of the client, if it is known."""
    return client_address(request, request.app[SETTINGS].trusted_proxy_hops)


def _address(request: web.Request) -> str | None:
    address = address_of(request)
    return None if address is None else str(address)
