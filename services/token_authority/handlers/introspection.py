"""`POST /oauth2/introspect` (RFC 7662): what a service may know of tokens that were presented to it."""

from aiohttp import web

from services.token_authority.app_keys import PRESENTED, SERVICE, SETTINGS
from services.token_authority.handlers.introspection_answer import introspection_answer
from services.token_authority.payloads.introspection import Introspections, IntrospectToken, IntrospectTokens, active
from shared.contract.introspection import Active, Inactive
from shared.runtime.http.body import FORM, JSON, read_form, read_json, require_media_type
from shared.runtime.http.endpoint import Response, endpoint


@endpoint(
    summary="Introspect a token (RFC 7662)",
    description="Of a token that is unknown, expired, disabled, revoked or of a site that the service does not see: "
    '`{"active": false}` and no more.',
    tags=("introspection",),
    body=IntrospectToken,
    media_type=FORM,
    responses={200: Response(description="What the token grants, if anything.", body=(Active, Inactive))},
)
async def introspect(request: web.Request) -> web.Response:
    """200 with the token's grant, or `{"active": false}` for all that does not work, whatever the cause."""
    require_media_type(request, FORM)
    secret = read_form(await request.read(), IntrospectToken).token
    return introspection_answer(request, (await _activities(request, [secret]))[0])


@endpoint(
    summary="Introspect up to 100 tokens",
    tags=("introspection",),
    body=IntrospectTokens,
    responses={200: Response(description="What each token grants, in order.", body=Introspections)},
)
async def introspect_many(request: web.Request) -> web.Response:
    """200 with what `introspect` says of each, in order."""
    require_media_type(request, JSON)
    asked = read_json(await request.read(), IntrospectTokens)
    return introspection_answer(request, Introspections(await _activities(request, asked.tokens)))


async def _activities(request: web.Request, secrets: list[str]) -> list[Active | Inactive]:
    issuer = request.app[SETTINGS].token_authority_issuer
    found = await request.app[PRESENTED].use(secrets, request[SERVICE])
    return [Inactive() if known is None else active(known, issuer) for known in found]
