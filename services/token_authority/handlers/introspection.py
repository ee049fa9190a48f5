"""`POST /oauth2/introspect` (RFC 7662): what a service may know of a token that was presented to it."""

from datetime import UTC, datetime

from aiohttp import web

from services.token_authority.app_keys import DATABASE, SETTINGS
from services.token_authority.storage.tokens import select_token_by_digest
from shared.contract.introspection import AUDIENCE, Active, Inactive
from shared.contract.scope import print_scopes
from shared.contract.token import ACCESS_TOKEN, digest, is_well_formed
from shared.runtime.body import read_form_field, require_media_type
from shared.runtime.json_response import json_response


async def introspect(request: web.Request) -> web.Response:
    """200 with the token's grant, or `{"active": false}` for all that does not work, whatever the cause."""
    require_media_type(request, "application/x-www-form-urlencoded")
    secret = read_form_field(await request.read(), "token")
    return json_response(await _activity(request, secret))


async def _activity(request: web.Request, secret: str) -> Active | Inactive:
    if not is_well_formed(secret, ACCESS_TOKEN):
        return Inactive()
    known = await select_token_by_digest(request.app[DATABASE], digest(secret))
    if known is None or known.token.status(datetime.now(UTC)) != "active":
        return Inactive()
    token = known.token
    return Active(
        active=True,
        scope=print_scopes(token.scopes),
        client_id=token.id,
        token_type="Bearer",  # noqa: S106 - the name of a scheme
        iat=int(token.created_at.timestamp()),
        exp=int(token.expires_at.timestamp()) if token.expires_at else None,
        iss=request.app[SETTINGS].token_authority_issuer,
        aud=AUDIENCE,
        jti=token.id,
        site=token.site_id,
        endpoint_id=known.endpoint_id,
        as_of=known.as_of,
    )
