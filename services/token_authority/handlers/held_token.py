"""`GET /v1/token`: show a token to its holder, even if it does not work."""

from datetime import UTC, datetime

from aiohttp import web

from services.token_authority.app_keys import ATTEMPTS, DATABASE
from services.token_authority.domain.errors import Unauthenticated
from services.token_authority.handlers.access import address_of
from services.token_authority.handlers.presented_credential import bearer_of
from services.token_authority.operations.introspection import find_by_secret
from services.token_authority.payloads.tokens import HeldTokenPayload
from shared.contract.presented_secret import describe_flaw
from shared.contract.token import ACCESS_TOKEN
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response


@endpoint(
    summary="Show the token that you hold",
    description="Authenticate with the token. If the token does not work, the response says why and since when.",
    tags=("tokens",),
    responses={200: Response(description="The token.", body=HeldTokenPayload)},
)
async def show_held_token(request: web.Request) -> web.Response:
    """Return 200 with the token in any status; 401 for a token that was not issued here."""
    attempts, address = request.app[ATTEMPTS], address_of(request)
    secret = bearer_of(request, "an access token as 'Authorization: Bearer pgt_…'")
    refusal = Unauthenticated("This access token was not issued here.", "Bearer")
    attempts.require_kind("access_token", secret, ACCESS_TOKEN, "send an access token", "Bearer")
    flaw = describe_flaw(secret, ACCESS_TOKEN)
    if flaw is not None:
        await attempts.record_failure("access_token", address, Unauthenticated(flaw, "Bearer"))
    async with attempts.lookup("access_token", address):
        found = await find_by_secret(request.app[DATABASE], secret)
    if found is None:
        await attempts.record_failure("access_token", address, refusal)
    return json_response(HeldTokenPayload.of(found.token, found.secret, datetime.now(UTC)))
