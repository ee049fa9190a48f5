"""Who is calling: an administrator by an admin key, a service by its client credential, or anyone."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from services.token_authority.app_keys import ADMIN_KEY, ATTEMPTS, CREDENTIALS, SERVICE, SETTINGS
from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey, Role
from services.token_authority.domain.errors import Forbidden
from services.token_authority.domain.service import Service
from services.token_authority.handlers.presented_credential import bearer_of, service_credential
from services.token_authority.operations.credentials import ClientSecret
from shared.runtime.docs.openapi import Operation
from shared.runtime.http.application import add_to_line
from shared.runtime.http.client_address import Address, client_address
from shared.runtime.http.request_id import REQUEST_ID


class Access(NamedTuple):
    """A rule of who may call a route: `wrap` lets only those through to its handler.

    `security` is how they show who they are, by its names in the API's document, which says `note` of them.
    """

    wrap: Callable[[Handler], Handler]
    security: tuple[str, ...] = ()
    note: str = ""
    problems: Mapping[int, str] = {}

    def describe(self, operation: Operation) -> Operation:
        """The operation, with what there is to say of who may call it."""
        description = " ".join(filter(None, (operation.description, self.note)))
        return msgspec.structs.replace(
            operation, description=description, problems={**self.problems, **operation.problems}
        )


def for_roles(*roles: Role, within_limits: bool = False) -> Access:
    """Let a request through that carries an admin key in one of these roles as bearer (RFC 6750 §2.1).

    A key with limits is let through where the handler keeps it `within_limits`.
    """

    def wrap(handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            presented = bearer_of(request, "an admin key as 'Authorization: Bearer pga_…'")
            key = await request.app[CREDENTIALS].admin_key(presented, address_of(request))
            request[ADMIN_KEY] = key
            add_to_line(request, admin_key_id=key.id)
            if key.role not in roles:
                raise Forbidden(f"This takes an admin key in the role {named}; yours is {key.role}.")
            if not (within_limits or key.sees_all):
                raise Forbidden("This takes an admin key without limits on sites and scopes.")
            return await handler(request)

        return guarded

    named = " or ".join(roles)
    forbidden = {403: f"The admin key is not in the role {named}, or the request goes beyond its limits."}
    return Access(wrap, ("admin_key",), f"For admin keys in the role {named}.", {**forbidden, **_GUESSED})


_GUESSED: Final = {429: "Too many credentials from this address, or for this client id, were wrong; see `Retry-After`."}
_ASKED_TOO_MUCH: Final = {429: "Too many tokens were asked about from this address; see `Retry-After`."}


for_readers: Final = for_roles("admin", "issuer", "auditor", within_limits=True)
"""Who may look at tokens, each within its limits."""
for_issuers: Final = for_roles("admin", "issuer", within_limits=True)
"""Who may make and manage tokens, each within its limits."""
for_auditors: Final = for_roles("admin", "auditor")
"""Who may look at everything."""
for_admins: Final = for_roles("admin")
"""Who may change everything."""


def _wrap_for_services(handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        service = await _service(request)
        request[SERVICE] = service
        add_to_line(request, client_id=service.client_id)
        return await handler(request)

    return guarded


async def _service(request: web.Request) -> Service:
    presented, credentials = await service_credential(request), request.app[CREDENTIALS]
    if isinstance(presented, ClientSecret):
        return await credentials.service_by_secret(presented, address_of(request))
    return await credentials.service_by_assertion(presented, address_of(request), request.path)


def _wrap_for_strangers(handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        await request.app[ATTEMPTS].admit_stranger(address_of(request))
        return await handler(request)

    return guarded


def _wrap_for_everyone(handler: Handler) -> Handler:
    return handler


for_services: Final = Access(_wrap_for_services, ("service", "service_assertion"), problems=_GUESSED)
"""Services, by client id and secret over HTTP Basic (RFC 6749 §2.3.1), or by a JWT that they sign (RFC 7523 §2.2)."""
for_everyone: Final = Access(_wrap_for_everyone)
"""Everyone: the route tells no secret."""
for_strangers: Final = Access(_wrap_for_strangers, problems=_ASKED_TOO_MUCH)
"""Everyone: the body is the credential. From one address only so many tokens a minute, which the handler counts."""
for_holders: Final = Access(_wrap_for_strangers, ("token",), problems={**_GUESSED, **_ASKED_TOO_MUCH})
"""Whoever shows an access token as bearer, which the handler looks at itself, and counts."""


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
