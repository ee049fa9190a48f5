"""The introspection response: JSON (RFC 7662 §2.2) or a signed JWT (RFC 9701), as the Accept header asks."""

import time

import msgspec
from aiohttp import web

from services.token_authority.app_keys import SERVICE, SETTINGS, SIGNER
from shared.contract.introspection import (
    INTROSPECTION_JWT_MEDIA_TYPE,
    INTROSPECTION_JWT_TYPE,
    IntrospectionClaims,
)
from shared.runtime.http.accept import prefers
from shared.runtime.http.json_response import json_response


def introspection_response(request: web.Request, introspection: msgspec.Struct) -> web.Response:
    """Return 200 with the introspection, as a JWT signed for the service if it prefers that."""
    if not prefers(request, INTROSPECTION_JWT_MEDIA_TYPE, "application/json"):
        return json_response(introspection)
    claims = IntrospectionClaims(
        iss=request.app[SETTINGS].token_authority_issuer,
        aud=request[SERVICE].client_id,
        iat=int(time.time()),
        token_introspection=introspection,
    )
    signed = request.app[SIGNER].sign(msgspec.to_builtins(claims), INTROSPECTION_JWT_TYPE)
    return web.Response(body=signed.encode(), content_type=INTROSPECTION_JWT_MEDIA_TYPE)
