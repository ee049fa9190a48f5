"""Say which token sends a request, and from where, for the audit trail of polls."""

from aiohttp import web

from services.polls.app_keys import SETTINGS
from services.polls.domain.audit import Actor
from shared.guard import caller
from shared.runtime.http.client_address import client_address
from shared.runtime.http.request_id import REQUEST_ID


def actor_of(request: web.Request) -> Actor:
    """Return the token and the address that the request comes from."""
    address = client_address(request, request.app[SETTINGS].trusted_proxy_hops)
    return Actor(caller(request).token_id, None if address is None else str(address), request[REQUEST_ID])
