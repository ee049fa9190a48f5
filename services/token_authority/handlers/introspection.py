"""`POST /oauth2/introspect` (RFC 7662): what a service may know of tokens that were presented to it."""

from typing import Annotated, Any, Final

from aiohttp import web
from msgspec import Meta, Struct

from services.token_authority.app_keys import PRESENTED, SERVICE, SETTINGS
from services.token_authority.handlers.introspection_answer import introspection_answer
from services.token_authority.handlers.revocation import PresentedToken
from services.token_authority.storage.tokens import Known
from shared.contract.introspection import AUDIENCE, Active, Inactive
from shared.contract.scope import Action, Scope, print_scopes
from shared.runtime.body import FORM, JSON, read_form, read_json, require_media_type
from shared.runtime.openapi import Answer, endpoint

MAX_BATCH: Final = 100


class IntrospectTokens(Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens to be introspected at once, as when a cache is warmed."""

    tokens: Annotated[list[str], Meta(min_length=1, max_length=MAX_BATCH)]


class Introspections(Struct, frozen=True):
    """What is said of each of the tokens, in the order in which they were asked about."""

    items: Annotated[list[Any], Meta(description="each as `POST /oauth2/introspect` answers")]


@endpoint(
    summary="Introspect a token (RFC 7662)",
    description="Of a token that is unknown, expired, disabled, revoked or of a site that the service does not see: "
    '`{"active": false}` and no more.',
    tags=("introspection",),
    body=PresentedToken,
    media_type=FORM,
    answers={200: Answer(description="What the token grants, if anything.", body=(Active, Inactive))},
)
async def introspect(request: web.Request) -> web.Response:
    """200 with the token's grant, or `{"active": false}` for all that does not work, whatever the cause."""
    require_media_type(request, FORM)
    secret = read_form(await request.read(), PresentedToken).token
    return introspection_answer(request, await _activity(request, secret))


@endpoint(
    summary="Introspect up to 100 tokens",
    tags=("introspection",),
    body=IntrospectTokens,
    answers={200: Answer(description="What each token grants, in order.", body=Introspections)},
)
async def introspect_many(request: web.Request) -> web.Response:
    """200 with what `introspect` says of each, in order."""
    require_media_type(request, JSON)
    asked = read_json(await request.read(), IntrospectTokens)
    found = Introspections([await _activity(request, secret) for secret in asked.tokens])
    return introspection_answer(request, found)


async def _activity(request: web.Request, secret: str) -> Active | Inactive:
    known = await request.app[PRESENTED].use(secret, request[SERVICE].sites)
    return Inactive() if known is None else _active(known, request.app[SETTINGS].token_authority_issuer)


def _active(known: Known, issuer: str) -> Active:
    token, secret = known.token, known.secret
    ends = [end for end in (token.expires_at, secret.ends_at) if end is not None]
    return Active(
        active=True,
        scope=print_scopes(token.scopes),
        client_id=token.id,
        token_type="Bearer",  # noqa: S106 - the name of a scheme
        iat=int(token.created_at.timestamp()),
        exp=int(min(ends).timestamp()) if ends else None,
        iss=issuer,
        aud=AUDIENCE,
        jti=secret.id,
        site=token.site_id,
        endpoint_id=known.endpoint_id,
        as_of=known.as_of,
        allow_query=token.allow_query,
        allowed_ips=list(token.allowed_ips),
        rate_limit=token.rate_limit,
        metadata=dict(token.metadata),
        authorization_details=[_detail(scope) for scope in token.scopes],
    )


def _detail(scope: Scope) -> dict[str, Any]:
    """A scope as an object (RFC 9396 §2); without `workspace` it reaches everything."""
    place = dict(zip(("workspace", "content", "container"), scope.path, strict=False))
    return {"type": AUDIENCE, "actions": [action for action in Action if action in scope.actions], **place}
