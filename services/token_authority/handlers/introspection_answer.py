"""What introspection has found, as it was asked for: in JSON (RFC 7662 §2.2), or in a signed JWT (RFC 9701)."""

import time

import msgspec
from aiohttp import web

from services.token_authority.app_keys import SERVICE, SETTINGS, SIGNER
from shared.contract.signed_introspection import (
    INTROSPECTION_JWT_MEDIA_TYPE,
    INTROSPECTION_JWT_TYPE,
    IntrospectionClaims,
)
from shared.runtime.http.accept import prefers
from shared.runtime.http.json_response import json_response


def introspection_answer(request: web.Request, found: msgspec.Struct) -> web.Response:
    """200 with `found`, signed for the service that asks where its Accept header wants that."""
    if not prefers(request, INTROSPECTION_JWT_MEDIA_TYPE, "application/json"):
        return json_response(found)
    claims = IntrospectionClaims(
        iss=request.app[SETTINGS].token_authority_issuer,
        aud=request[SERVICE].client_id,
        iat=int(time.time()),
        token_introspection=found,
    )
    signed = request.app[SIGNER].sign(msgspec.to_builtins(claims), INTROSPECTION_JWT_TYPE)
    return web.Response(body=signed.encode(), content_type=INTROSPECTION_JWT_MEDIA_TYPE)
