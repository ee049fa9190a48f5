"""`POST /oauth2/introspect` (RFC 7662): introspect tokens for a service."""

from aiohttp import web

from services.token_authority.app_keys import INTROSPECTOR, SERVICE, SETTINGS
from services.token_authority.domain.token import TokenLookup
from services.token_authority.handlers.introspection_response import introspection_response
from services.token_authority.handlers.presented_token import token_of
from services.token_authority.payloads.introspection import (
    Introspections,
    IntrospectToken,
    IntrospectTokens,
    active_token,
)
from shared.contract.introspection import Active, Inactive
from shared.contract.presented_secret import trim_secret
from shared.runtime.http.body import FORM, JSON, read_form, read_json, require_media_type
from shared.runtime.http.endpoint import Response, endpoint


@endpoint(
    summary="Introspect a token (RFC 7662)",
    description="For a token that is unknown, expired, disabled, revoked or of a site that the service does not see, "
    'the response is `{"active": false}`. Whitespace around the token is ignored.',
    tags=("introspection",),
    body=IntrospectToken,
    media_type=FORM,
    responses={200: Response(description="The grant of the token, or that it is not active.", body=(Active, Inactive))},
)
async def introspect(request: web.Request) -> web.Response:
    """Return 200 with the grant of the token, or `{"active": false}` if it does not work for any reason."""
    require_media_type(request, FORM)
    secret = token_of(read_form(await request.read(), IntrospectToken))
    lookup = await request.app[INTROSPECTOR].introspect_one(secret, request[SERVICE])
    return introspection_response(request, _introspection(request, lookup))


@endpoint(
    summary="Introspect up to 100 tokens",
    tags=("introspection",),
    body=IntrospectTokens,
    responses={200: Response(description="The introspection of each token, in order.", body=Introspections)},
)
async def introspect_many(request: web.Request) -> web.Response:
    """Return 200 with the introspection of each token, in order."""
    require_media_type(request, JSON)
    body = read_json(await request.read(), IntrospectTokens)
    found = await request.app[INTROSPECTOR].introspect([trim_secret(each) for each in body.tokens], request[SERVICE])
    return introspection_response(request, Introspections([_introspection(request, lookup) for lookup in found]))


def _introspection(request: web.Request, lookup: TokenLookup | None) -> Active | Inactive:
    return Inactive() if lookup is None else active_token(lookup, request.app[SETTINGS].token_authority_issuer)
