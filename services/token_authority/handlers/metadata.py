"""The authority's public signing keys (RFC 7517) and metadata (RFC 8414)."""

from aiohttp import web

from services.token_authority.app_keys import SETTINGS, SIGNER
from services.token_authority.payloads.metadata import AuthorizationServerMetadata, KeyPayload, KeySet
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response


@endpoint(
    summary="Show the signing keys (RFC 7517)",
    tags=("metadata",),
    responses={200: Response(description="The public keys.", body=KeySet)},
)
async def show_signing_keys(request: web.Request) -> web.Response:
    """Return 200 with the public keys: the next one, the one that signs, and those that signed recently."""
    keys = await request.app[SIGNER].published_keys()
    return json_response(KeySet([KeyPayload.of(each.key.kid, each.key.public_key) for each in keys]))


@endpoint(
    summary="Show the authority's metadata (RFC 8414)",
    tags=("metadata",),
    responses={200: Response(description="The metadata.", body=AuthorizationServerMetadata)},
)
async def show_metadata(request: web.Request) -> web.Response:
    """Return 200 with the metadata."""
    settings = request.app[SETTINGS]
    return json_response(AuthorizationServerMetadata.of(settings.token_authority_issuer, settings.revocation_lease))
