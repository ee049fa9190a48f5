"""Who is calling: an administrator by an admin key, a service by its client credential, or anyone."""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from services.token_authority.app_keys import ADMIN_KEY, ATTEMPTS, CREDENTIALS, SERVICE, SETTINGS
from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey, Role
from services.token_authority.domain.errors import Forbidden
from services.token_authority.domain.service import Service
from services.token_authority.handlers.presented_credential import bearer_of, service_credential
from services.token_authority.operations.credentials import ClientSecret
from shared.runtime.http.application import add_log_fields
from shared.runtime.http.client_address import Address, client_address
from shared.runtime.http.request_id import REQUEST_ID
from shared.runtime.http.routes import Access


def _admin_key_in(*roles: Role, within_limits: bool = False) -> Access:
    """Require an admin key in one of these roles as bearer token (RFC 6750 §2.1).

    Accept a key that is limited to some sites or scopes only if the handler keeps to these: `within_limits`.
    """

    def restrict(handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            presented = bearer_of(request, "an admin key as 'Authorization: Bearer pga_…'")
            key = await request.app[CREDENTIALS].admin_key(presented, address_of(request))
            request[ADMIN_KEY] = key
            add_log_fields(request, admin_key_id=key.id)
            if key.role not in roles:
                raise Forbidden(f"This takes an admin key in the role {named}; yours is {key.role}.")
            if not (within_limits or key.sees_all):
                raise Forbidden("This takes an admin key without limits on sites and scopes.")
            return await handler(request)

        return guarded

    named = " or ".join(roles)
    forbidden = {403: f"The admin key is not in the role {named}, or the request goes beyond its limits."}
    return Access(restrict, ("admin_key",), f"For admin keys in the role {named}.", {**forbidden, **_GUESSED})


_GUESSED: Final = {429: "Too many credentials from this address, or for this client id, were wrong; see `Retry-After`."}
_ASKED_TOO_MUCH: Final = {429: "Too many tokens were asked about from this address; see `Retry-After`."}


READERS: Final = _admin_key_in("admin", "issuer", "auditor", within_limits=True)
"""Admin keys that may look at tokens, within their limits."""
ISSUERS: Final = _admin_key_in("admin", "issuer", within_limits=True)
"""Admin keys that may issue and manage tokens, within their limits."""
AUDITORS: Final = _admin_key_in("admin", "auditor")
"""Admin keys that may look at everything."""
ADMINS: Final = _admin_key_in("admin")
"""Admin keys that may change everything."""


def _require_service(handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        service = await _service(request)
        request[SERVICE] = service
        add_log_fields(request, client_id=service.client_id)
        return await handler(request)

    return guarded


async def _service(request: web.Request) -> Service:
    presented, credentials = await service_credential(request), request.app[CREDENTIALS]
    if isinstance(presented, ClientSecret):
        return await credentials.service_by_secret(presented, address_of(request))
    return await credentials.service_by_assertion(presented, address_of(request), request.path)


def _limit_anonymous(handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        await request.app[ATTEMPTS].admit_stranger(address_of(request))
        return await handler(request)

    return guarded


SERVICES: Final = Access(_require_service, ("service", "service_assertion"), problems=_GUESSED)
"""Services, by client id and secret over HTTP Basic (RFC 6749 §2.3.1) or by a JWT that they sign (RFC 7523 §2.2)."""
ANONYMOUS: Final = Access(_limit_anonymous, problems=_ASKED_TOO_MUCH)
"""Anyone: the token in the body is the credential. The tokens from one address are limited; the handler counts them."""
TOKEN_HOLDER: Final = Access(_limit_anonymous, ("token",), problems={**_GUESSED, **_ASKED_TOO_MUCH})
"""The holder of an access token, sent as bearer token. The handler checks and counts it."""


def administrator_of(request: web.Request) -> tuple[AdminKey, Actor]:
    """The admin key that the request carries, and who is put on record for what it does."""
    key = request[ADMIN_KEY]
    return key, Actor("admin_key", key.id, _address(request), request[REQUEST_ID])


def holder_of(request: web.Request, token_id: str | None) -> Actor:
    """Whoever holds the token, or several, as is put on record."""
    return Actor("holder", token_id, _address(request), request[REQUEST_ID])


def address_of(request: web.Request) -> Address | None:
    """Where the request comes from, as far as can be told."""
    return client_address(request, request.app[SETTINGS].trusted_proxy_hops)


def _address(request: web.Request) -> str | None:
    address = address_of(request)
    return None if address is None else str(address)
