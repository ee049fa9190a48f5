"""Who is calling: an administrator by an admin key, a service by its client credential, or anyone."""

import hmac
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import unquote

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from services.token_authority.app_keys import ADMIN_KEY, DATABASE, SERVICE, SETTINGS
from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey, Role
from services.token_authority.domain.errors import Forbidden, Unauthenticated
from services.token_authority.domain.service import Service
from services.token_authority.storage.admin_keys import select_admin_key_by_digest
from services.token_authority.storage.services import select_service_to_authenticate
from shared.contract import token as contract
from shared.contract.token import CLIENT_SECRET, digest, is_well_formed
from shared.runtime.client_address import client_address
from shared.runtime.openapi import Operation
from shared.runtime.request_id import REQUEST_ID
from shared.runtime.request_line import add_to_line


class Access(NamedTuple):
    """A rule of who may call a route: `wrap` lets only those through to its handler.

    `security` is how they show who they are, by its name in the API's document, which says `note` of them.
    """

    wrap: Callable[[Handler], Handler]
    security: str | None = None
    note: str = ""
    problems: Mapping[int, str] = {}

    def describe(self, operation: Operation) -> Operation:
        """The operation, with what there is to say of who may call it."""
        description = " ".join(filter(None, (operation.description, self.note)))
        return msgspec.structs.replace(
            operation, description=description, problems={**self.problems, **operation.problems}
        )


def for_roles(*roles: Role) -> Access:
    """Let a request through that carries an admin key in one of these roles as bearer (RFC 6750 §2.1)."""

    def wrap(handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            key = await _admin_key(request)
            request[ADMIN_KEY] = key
            add_to_line(request, admin_key_id=key.id)
            if key.role not in roles:
                raise Forbidden(f"This takes an admin key in the role {named}; yours is {key.role}.")
            return await handler(request)

        return guarded

    named = " or ".join(roles)
    forbidden = {403: f"The admin key is not in the role {named}, or the request goes beyond its limits."}
    return Access(wrap, "admin_key", f"For admin keys in the role {named}.", forbidden)


for_readers: Final = for_roles("admin", "issuer", "auditor")
"""Who may look at tokens, each within its limits."""
for_issuers: Final = for_roles("admin", "issuer")
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


def _wrap_for_everyone(handler: Handler) -> Handler:
    return handler


for_services: Final = Access(_wrap_for_services, "service")
"""Services, by client id and secret over HTTP Basic (RFC 6749 §2.3.1)."""
for_everyone: Final = Access(_wrap_for_everyone)
"""Everyone: the route tells no secret, or its body is the credential."""
for_holders: Final = Access(_wrap_for_everyone, "token")
"""Whoever shows an access token as bearer, which the handler looks at itself."""


def administrator_of(request: web.Request) -> tuple[AdminKey, Actor]:
    """The admin key that the request carries, and who is put on record for what it does."""
    key = request[ADMIN_KEY]
    return key, Actor("admin_key", key.id, _address(request), request[REQUEST_ID])


def holder_of(request: web.Request, token_id: str | None) -> Actor:
    """Whoever holds the token, or several, as is put on record."""
    return Actor("holder", token_id, _address(request), request[REQUEST_ID])


def _address(request: web.Request) -> str | None:
    address = client_address(request, request.app[SETTINGS].trusted_proxy_hops)
    return None if address is None else str(address)


async def _admin_key(request: web.Request) -> AdminKey:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("Bearer", "Send an admin key as 'Authorization: Bearer pga_…'.")
    key = None
    if is_well_formed(secret, contract.ADMIN_KEY):
        key = await select_admin_key_by_digest(request.app[DATABASE], digest(secret), datetime.now(UTC))
    if key is None:
        raise Unauthenticated("Bearer", "This admin key is not known here.")
    return key


async def _service(request: web.Request) -> Service:
    client_id, secret = _basic_credential(request)
    found = await select_service_to_authenticate(request.app[DATABASE], client_id, datetime.now(UTC))
    presented, known = digest(secret), found.digests if found else [b""]
    matches = [hmac.compare_digest(presented, each) for each in known]
    if found is None or not any(matches):
        raise Unauthenticated("Basic", "This client id and secret are not known here.")
    return found.service


def _basic_credential(request: web.Request) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        credential = b64decode(encoded, validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        credential = ""
    client_id, _, secret = (unquote(part) for part in credential.partition(":"))
    if "\0" in client_id or not is_well_formed(secret, CLIENT_SECRET):
        raise Unauthenticated("Basic", "Send the service's client id and secret by HTTP Basic.")
    return client_id, secret
