"""Limit the bodies that cannot be read, from callers without a credential."""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from services.token_authority.app_keys import ATTEMPTS
from services.token_authority.handlers.access import ANONYMOUS, ANONYMOUS_REPORT, address_of
from shared.runtime.http.application import BodyTooLarge, UnsupportedCoding
from shared.runtime.http.problem import BadRequest, InvalidBody, UnsupportedMediaType
from shared.runtime.http.routes import match_route

_UNREADABLE: Final = (BadRequest, BodyTooLarge, InvalidBody, UnsupportedCoding, UnsupportedMediaType)


@web.middleware
async def limit_unreadable_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count bodies of anonymous callers that cannot be read. Beyond the limit, those are 429.

    A report of leaked tokens is then refused before its body is read. A revocation by the holder is a short form, which
    costs little to read, so that a holder can always revoke.
    """
    route = match_route(request)
    access = route.access if route else None
    if access is not ANONYMOUS and access is not ANONYMOUS_REPORT:
        return await handler(request)
    attempts, address = request.app[ATTEMPTS], address_of(request)
    if access is ANONYMOUS_REPORT:
        await attempts.require_readable_bodies(address)
    try:
        return await handler(request)
    except _UNREADABLE as refusal:
        await attempts.record_unreadable_body(address, refusal)
