"""`/v1/tokens/find`: find the token that a secret belongs to."""

from datetime import UTC, datetime

from aiohttp import web

from services.token_authority.app_keys import ADMIN_KEY, DATABASE, INTROSPECTOR
from services.token_authority.domain.errors import UnknownSecret
from services.token_authority.domain.usage import Use
from services.token_authority.payloads.token_lookup import FindToken, FoundTokenPayload
from services.token_authority.storage import usage
from shared.runtime.http.application import add_log_fields
from shared.runtime.http.body import JSON, read_json, require_media_type
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response


@endpoint(
    summary="Find a token by its secret",
    description="Returns the token of a secret that you have found, in any status, and whether the secret still works. "
    "A secret that a rotation has ended finds its token too. This does not count as a use of the token.",
    tags=("tokens",),
    body=FindToken,
    responses={200: Response(description="The token and what is known of the secret.", body=FoundTokenPayload)},
    problems={404: "No token that the admin key may see has this secret."},
)
async def find_token(request: web.Request) -> web.Response:
    """Return 200 with the token that has this secret; 404 for one that the admin key may not see."""
    require_media_type(request, JSON)
    secret = read_json(await request.read(), FindToken).to_secret()
    found = await request.app[INTROSPECTOR].find_by_secret(secret)
    if found is None or not request[ADMIN_KEY].sees(found.token):
        raise UnknownSecret
    add_log_fields(request, token_id=found.token.id)
    use = (await usage.select_use(request.app[DATABASE], [found.token.id])).get(found.token.id, Use())
    return json_response(FoundTokenPayload.of_lookup(found, use, datetime.now(UTC)))
