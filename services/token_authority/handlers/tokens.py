"""`/v1/tokens`: issue, list, show, change, disable, enable and rotate tokens."""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from services.token_authority.app_keys import ADMIN_KEY, CHANGES, DATABASE, SETTINGS
from services.token_authority.domain.errors import SecretAsId, UnknownToken
from services.token_authority.domain.token import Token
from services.token_authority.domain.token_change import ChangedToken
from services.token_authority.domain.token_page import Order, Page
from services.token_authority.domain.usage import Use
from services.token_authority.handlers.access import administrator_of
from services.token_authority.handlers.cursor import read_cursor, write_cursor
from services.token_authority.handlers.effect import effect_of, should_wait
from services.token_authority.handlers.idempotency import IN_USE, REUSED, key_of
from services.token_authority.handlers.parameters import invalid_parameters
from services.token_authority.operations.issuance import issue_token
from services.token_authority.payloads.idempotency import IdempotencyHeaders
from services.token_authority.payloads.revocation import Waiting
from services.token_authority.payloads.token_requests import (
    ChangeToken,
    CreateToken,
    DisableToken,
    ListTokens,
    RotateToken,
)
from services.token_authority.payloads.tokens import (
    ChangedTokenPayload,
    IssuedTokenPayload,
    RotatedTokenPayload,
    TokenDetailPayload,
    TokenPage,
)
from services.token_authority.storage import secrets, tokens, usage
from services.token_authority.storage.selections import select_tokens
from shared.contract.token import SECRET_PATTERN
from shared.runtime.http.body import JSON, read_json, read_json_if_any, require_media_type
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.query import read_query

DAYS: Final = 90
"""Days of counts in the details of a token."""

UNKNOWN: Final = {404: "Unknown token id."}
ENDED: Final = {**UNKNOWN, 409: "The token is revoked or has expired, so it cannot be changed."}


@endpoint(
    summary="Issue a token",
    description="Its secret, `token`, is shown only in this response.",
    tags=("tokens",),
    headers=IdempotencyHeaders,
    body=CreateToken,
    responses={
        201: Response(description="The token.", body=IssuedTokenPayload, headers={"Location": "URL of the token."})
    },
    problems={
        403: "The token would have more than the limits of the admin key.",
        404: "A repetition: the admin key may no longer see the token.",
        409: f"A repetition: the token has ended, or {IN_USE}.",
        **REUSED,
    },
)
async def create_token(request: web.Request) -> web.Response:
    """Return 201 with the token and its secret."""
    require_media_type(request, JSON)
    body = read_json(await request.read(), CreateToken)
    by, now = administrator_of(request), datetime.now(UTC)
    max_lifetime = request.app[SETTINGS].max_token_lifetime
    key = key_of(request, by.actor, body)
    issued = await issue_token(
        request.app[DATABASE], body.to_request(), body.site, by, now=now, max_lifetime=max_lifetime, key=key
    )
    location = {"Location": f"/v1/tokens/{issued.token.id}"}
    return json_response(IssuedTokenPayload.of_issued(issued, now), status=201, headers=location)


@endpoint(
    summary="Find tokens",
    tags=("tokens",),
    query=ListTokens,
    responses={200: Response(description="A page of tokens in any status.", body=TokenPage)},
)
async def list_tokens(request: web.Request) -> web.Response:
    """Return 200 with a page of the tokens that meet every condition."""
    query = read_query(request, ListTokens)
    order = Order(query.sort, query.descending)
    after, now = read_cursor(query.cursor, order), datetime.now(UTC)
    with invalid_parameters():
        chosen = query.to_selection().within(request[ADMIN_KEY])
    found = await select_tokens(request.app[DATABASE], chosen, Page(order, after, query.limit + 1), now)
    page = found[: query.limit]
    cursor = write_cursor(order, page[-1].place, page[-1].token.id) if len(found) > query.limit else None
    return json_response(TokenPage.of(page, cursor, request[ADMIN_KEY], now))


@endpoint(
    summary="Show a token",
    tags=("tokens",),
    responses={200: Response(description="The token, without its secret.", body=TokenDetailPayload)},
    problems=UNKNOWN,
)
async def show_token(request: web.Request) -> web.Response:
    """Return 200 with the token, its secrets without their texts, and its counts; 404 for an unknown id."""
    database, token_id = request.app[DATABASE], token_id_of(request)
    token = await tokens.select_token(database, token_id)
    if token is None or not request[ADMIN_KEY].sees(token):
        raise UnknownToken
    use = (await usage.select_use(database, [token_id])).get(token_id, Use())
    found = await secrets.select_secrets(database, "token", token_id)
    days = await usage.select_days(database, token_id, DAYS)
    return json_response(TokenDetailPayload.of_detail(token, use, found, days, datetime.now(UTC)))


@endpoint(
    summary="Change a token",
    description="Name, description, owner and metadata may change freely. Scopes, networks, rate limit, expiry and use "
    "in the query may only be reduced; such a change takes effect everywhere, as a revocation does. To allow more, "
    "issue a new token.",
    tags=("tokens",),
    query=Waiting,
    body=ChangeToken,
    responses={200: Response(description="The changed token.", body=ChangedTokenPayload)},
    problems=ENDED,
)
async def change_token(request: web.Request) -> web.Response:
    """Return 200 with the changed token; 422 if the change would allow it more."""
    require_media_type(request, JSON)
    wait, body = should_wait(request), read_json(await request.read(), ChangeToken)
    changed = await request.app[CHANGES].change(token_id_of(request), body.to_change(), administrator_of(request))
    return await _changed_response(request, changed, wait=wait)


@endpoint(
    summary="Disable a token",
    description="The token stops working everywhere, as with a revocation, until it is enabled again.",
    tags=("tokens",),
    query=Waiting,
    body=DisableToken,
    body_required=False,
    responses={200: Response(description="The changed token.", body=ChangedTokenPayload)},
    problems=ENDED,
)
async def disable_token(request: web.Request) -> web.Response:
    """Return 200 with the token, also if it was disabled before."""
    wait, body = should_wait(request), await read_json_if_any(request, DisableToken)
    reason = body.to_reason()
    changed = await request.app[CHANGES].disable(token_id_of(request), reason, administrator_of(request))
    return await _changed_response(request, changed, wait=wait)


@endpoint(
    summary="Enable a disabled token",
    tags=("tokens",),
    query=Waiting,
    responses={200: Response(description="The changed token.", body=ChangedTokenPayload)},
    problems=ENDED,
)
async def enable_token(request: web.Request) -> web.Response:
    """Return 200 with the token, also if it was not disabled."""
    wait = should_wait(request)
    changed = await request.app[CHANGES].enable(token_id_of(request), administrator_of(request))
    return await _changed_response(request, changed, wait=wait)


@endpoint(
    summary="Rotate a token's secret",
    description="Creates a new secret for the token, which is shown only in this response. The old one works for "
    "`overlap_s` more seconds or, with `end_on_use`, until the new one is used. With `expires_in` or `expires_at`, the "
    "token gets a new expiry, also if it has expired.",
    tags=("tokens",),
    query=Waiting,
    headers=IdempotencyHeaders,
    body=RotateToken,
    body_required=False,
    responses={200: Response(description="The token with its new secret.", body=RotatedTokenPayload)},
    problems={
        **UNKNOWN,
        409: "The token is revoked, or has expired and gets no new expiry, or has too many valid secrets, or "
        f"{IN_USE}.",
        **REUSED,
    },
)
async def rotate_token(request: web.Request) -> web.Response:
    """Return 200 with the token and its new secret."""
    wait, body = should_wait(request), await read_json_if_any(request, RotateToken)
    by = administrator_of(request)
    rotated = await request.app[CHANGES].rotate(
        token_id_of(request),
        body.to_rotation(key_of(request, by.actor, body)),
        by,
        lifetime=body.to_lifetime(),
        max_lifetime=request.app[SETTINGS].max_token_lifetime,
    )
    effect = await effect_of(request, rotated.pending, wait=wait) if rotated.pending else None
    use = await _select_use(request, rotated.token)
    return json_response(RotatedTokenPayload.of_rotated(rotated, use, effect, datetime.now(UTC)))


def token_id_of(request: web.Request) -> str:
    """Return the token id in the path. Raise `UnknownToken` if it cannot be one, `SecretAsId` for a secret."""
    token_id = request.match_info["id"]
    if SECRET_PATTERN.search(token_id):
        raise SecretAsId
    if "\0" in token_id:
        raise UnknownToken
    return token_id


async def _changed_response(request: web.Request, changed: ChangedToken, *, wait: bool) -> web.Response:
    effect = await effect_of(request, changed.pending, wait=wait) if changed.pending else None
    use = await _select_use(request, changed.token)
    return json_response(ChangedTokenPayload.of_changed(changed.token, use, effect, datetime.now(UTC)))


async def _select_use(request: web.Request, token: Token) -> Use:
    return (await usage.select_use(request.app[DATABASE], [token.id])).get(token.id, Use())
