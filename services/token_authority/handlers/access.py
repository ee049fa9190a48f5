"""Who is calling: an administrator by an admin key, a service by its client credential, or anyone."""

import hmac
from base64 import b64decode
from urllib.parse import unquote

from aiohttp import web
from aiohttp.typedefs import Handler

from services.token_authority.app_keys import ADMIN_KEY_ID, CLIENT_ID, DATABASE
from services.token_authority.domain.errors import Unauthenticated
from services.token_authority.storage.credentials import select_admin_key, select_service_digest
from shared.contract.token import ADMIN_KEY, CLIENT_SECRET, digest, is_well_formed
from shared.runtime.request_line import add_to_line


def for_administrators(handler: Handler) -> Handler:
    """Let a request through that carries an admin key as bearer (RFC 6750 §2.1)."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("Bearer", "Send an admin key as 'Authorization: Bearer pga_…'.")
        key_id = None
        if is_well_formed(key, ADMIN_KEY):
            key_id = await select_admin_key(request.app[DATABASE], digest(key))
        if key_id is None:
            raise Unauthenticated("Bearer", "This admin key is not known here.")
        request[ADMIN_KEY_ID] = key_id
        add_to_line(request, admin_key_id=key_id)
        return await handler(request)

    return guarded


def for_services(handler: Handler) -> Handler:
    """Let a request through that carries a service's client id and secret by HTTP Basic (RFC 6749 §2.3.1)."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        client_id, secret = _basic_credential(request)
        expected = await select_service_digest(request.app[DATABASE], client_id)
        if not hmac.compare_digest(digest(secret), expected or b""):
            raise Unauthenticated("Basic", "This client id and secret are not known here.")
        request[CLIENT_ID] = client_id
        add_to_line(request, client_id=client_id)
        return await handler(request)

    return guarded


def for_everyone(handler: Handler) -> Handler:
    """Let every request through: the route tells no secret, or its body is the credential."""
    return handler


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
