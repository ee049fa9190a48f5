"""`GET /v1/token`: what whoever holds a token may know of it, also when it works no more."""

from datetime import UTC, datetime

from aiohttp import web

from services.token_authority.app_keys import ATTEMPTS, DATABASE
from services.token_authority.domain.errors import Unauthenticated
from services.token_authority.handlers.access import address_of
from services.token_authority.handlers.presented_credential import bearer_of
from services.token_authority.operations.presented import known_by
from services.token_authority.payloads.tokens import HeldTokenPayload
from shared.contract.token import ACCESS_TOKEN, is_well_formed
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response


@endpoint(
    summary="Show the token that you hold",
    description="With the token as bearer. Says of one that does not work since when, and why.",
    tags=("tokens",),
    responses={200: Response(description="The token.", body=HeldTokenPayload)},
)
async def show_held_token(request: web.Request) -> web.Response:
    """200 with the token, dead or alive; 401 for one that was never issued here."""
    attempts, address = request.app[ATTEMPTS], address_of(request)
    secret = bearer_of(request, "an access token as 'Authorization: Bearer pgt_…'")
    refusal = Unauthenticated("This access token was not issued here.", "Bearer")
    if not is_well_formed(secret, ACCESS_TOKEN):
        raise await attempts.wrong("access_token", address, refusal)
    await attempts.admit("access_token", address)
    known = await known_by(request.app[DATABASE], secret)
    await attempts.count_tokens(address, 1)
    if known is None:
        raise await attempts.wrong("access_token", address, refusal)
    return json_response(HeldTokenPayload.of(known.token, known.secret, datetime.now(UTC)))
