"""`/v1/keys`: list and rotate the signing keys."""

from aiohttp import web

from services.token_authority.app_keys import DATABASE, SIGNER
from services.token_authority.handlers.access import administrator_of
from services.token_authority.payloads.metadata import SigningKeyPage, SigningKeyPayload
from services.token_authority.storage.signing_keys import select_signing_keys
from shared.runtime.http.application import add_log_fields
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response


@endpoint(
    summary="List the signing keys",
    tags=("keys",),
    responses={200: Response(description="Every published key, in the order in which they sign.", body=SigningKeyPage)},
)
async def list_keys(request: web.Request) -> web.Response:
    """Return 200 with every published key, in the order in which they sign."""
    keys = await select_signing_keys(request.app[DATABASE])
    return json_response(SigningKeyPage([SigningKeyPayload.of(key) for key in keys]))


@endpoint(
    summary="Rotate the signing key",
    tags=("keys",),
    responses={
        200: Response(description="The next key, which was published before.", body=SigningKeyPayload),
        201: Response(description="A new key, which signs soon.", body=SigningKeyPayload),
    },
)
async def rotate_keys(request: web.Request) -> web.Response:
    """Return 201 with a new key that signs soon, or 200 with the next key if there is one already."""
    rotation = await request.app[SIGNER].rotate(administrator_of(request).actor)
    add_log_fields(request, kid=rotation.key.key.kid)
    return json_response(SigningKeyPayload.of(rotation.key), status=201 if rotation.created else 200)
