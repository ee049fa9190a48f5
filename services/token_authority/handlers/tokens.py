"""`/v1/tokens`: issue, list, show, change, disable, enable and rotate."""

from datetime import UTC, datetime
from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta, Struct

from services.token_authority.app_keys import ADMIN_KEY, CHANGES, DATABASE, SETTINGS
from services.token_authority.domain.errors import InvalidValue, UnknownToken
from services.token_authority.domain.selection import Selection
from services.token_authority.domain.token import Token
from services.token_authority.handlers.access import administrator_of
from services.token_authority.handlers.cursor import read_cursor, write_cursor
from services.token_authority.handlers.effect import effect_of, waits
from services.token_authority.operations.change import Committed
from services.token_authority.operations.issue import issue_token
from services.token_authority.payloads.revocation import Waiting
from services.token_authority.payloads.tokens import (
    ChangedTokenPayload,
    ChangeToken,
    CreateToken,
    DisableToken,
    IssuedTokenPayload,
    ListTokens,
    RotatedTokenPayload,
    RotateSecret,
    TokenDetailPayload,
    TokenPage,
)
from services.token_authority.storage import secrets, tokens, usage
from services.token_authority.storage.selections import Order, Page, select_tokens
from shared.runtime.http.body import JSON, read_json, read_json_if_any, require_media_type
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.idempotency import IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_PATTERN, idempotency_key
from shared.runtime.http.json_response import json_response
from shared.runtime.http.problem import BadRequest, ErrorDetail
from shared.runtime.http.query import read_query

DAYS: Final = 90
"""Of use, that a token shown alone comes with."""

UNKNOWN: Final = {404: "No token has this id."}
ENDED: Final = {**UNKNOWN, 409: "The token has ended, so nothing about it can change."}


@endpoint(
    summary="Issue a token",
    description="Its secret, `token`, is shown in this answer alone.",
    tags=("tokens",),
    body=CreateToken,
    responses={201: Response(description="The token.", body=IssuedTokenPayload, headers={"Location": "Where it is."})},
    problems={403: "The admin key does not have itself what the token is to have."},
)
async def create_token(request: web.Request) -> web.Response:
    """201 with the token and, this once, its secret."""
    require_media_type(request, JSON)
    body = read_json(await request.read(), CreateToken)
    issuer, by = administrator_of(request)
    now = datetime.now(UTC)
    longest = request.app[SETTINGS].longest_lifetime
    issued = await issue_token(
        request.app[DATABASE], body.to_request(), body.site, issuer=issuer, by=by, now=now, longest=longest
    )
    location = {"Location": f"/v1/tokens/{issued.token.id}"}
    return json_response(IssuedTokenPayload.of_issued(issued, now), status=201, headers=location)


@endpoint(
    summary="Find tokens",
    tags=("tokens",),
    query=ListTokens,
    responses={200: Response(description="A page of tokens, dead ones too.", body=TokenPage)},
)
async def list_tokens(request: web.Request) -> web.Response:
    """200 with a page of tokens that meet every condition."""
    query = read_query(request, ListTokens)
    order = Order(query.sort, query.descending)
    after, now = read_cursor(query.cursor, order), datetime.now(UTC)
    chosen = _selection(query).within(request[ADMIN_KEY])
    found = await select_tokens(request.app[DATABASE], chosen, Page(order, after, query.limit + 1), now)
    page = found[: query.limit]
    cursor = write_cursor(order, page[-1].place, page[-1].token.id) if len(found) > query.limit else None
    return json_response(TokenPage.of(page, cursor, now))


@endpoint(
    summary="Show a token",
    tags=("tokens",),
    responses={200: Response(description="The token, never with its secret.", body=TokenDetailPayload)},
    problems=UNKNOWN,
)
async def show_token(request: web.Request) -> web.Response:
    """200 with the token, its secrets by what is kept of them, and its use; 404 for an unknown id."""
    database, token_id = request.app[DATABASE], token_id_of(request)
    token = await tokens.select_token(database, token_id)
    if token is None or not request[ADMIN_KEY].sees(token):
        raise UnknownToken
    use = (await usage.select_use(database, [token_id])).get(token_id, usage.Use())
    known = await secrets.select_secrets(database, "token", token_id)
    days = await usage.select_days(database, token_id, DAYS)
    return json_response(TokenDetailPayload.of_detail(token, use, known, days, datetime.now(UTC)))


@endpoint(
    summary="Change a token",
    description="What is said of a token changes freely. What it may do becomes less, in place and with the promise of "
    "a revocation: scopes, networks, rate limit, an earlier end, the header alone. For more, make a new token.",
    tags=("tokens",),
    query=Waiting,
    body=ChangeToken,
    responses={200: Response(description="The token as it is now.", body=ChangedTokenPayload)},
    problems=ENDED,
)
async def change_token(request: web.Request) -> web.Response:
    """200 with the token as it is now; 422 where it would be allowed more."""
    require_media_type(request, JSON)
    wait, body = waits(request), read_json(await request.read(), ChangeToken)
    committed = await request.app[CHANGES].change(token_id_of(request), body.to_change(), *administrator_of(request))
    return await _changed(request, committed, wait=wait)


@endpoint(
    summary="Disable a token",
    description="It stops working everywhere, with the promise of a revocation, until it is enabled again.",
    tags=("tokens",),
    query=Waiting,
    body=DisableToken,
    body_required=False,
    responses={200: Response(description="The token as it is now.", body=ChangedTokenPayload)},
    problems=ENDED,
)
async def disable_token(request: web.Request) -> web.Response:
    """200 with the token as it is now, also where it was disabled before."""
    wait, body = waits(request), await read_json_if_any(request, DisableToken)
    reason = body.to_reason()
    committed = await request.app[CHANGES].disable(token_id_of(request), reason, *administrator_of(request))
    return await _changed(request, committed, wait=wait)


@endpoint(
    summary="Enable a disabled token",
    tags=("tokens",),
    query=Waiting,
    responses={200: Response(description="The token as it is now.", body=ChangedTokenPayload)},
    problems=ENDED,
)
async def enable_token(request: web.Request) -> web.Response:
    """200 with the token as it is now, also where it was not disabled."""
    wait = waits(request)
    committed = await request.app[CHANGES].enable(token_id_of(request), *administrator_of(request))
    return await _changed(request, committed, wait=wait)


class RotationHeaders(Struct, frozen=True, rename={"idempotency_key": IDEMPOTENCY_KEY}):
    """So that a rotation can be repeated when its answer was lost."""

    idempotency_key: (
        Annotated[
            str,
            Meta(
                pattern=IDEMPOTENCY_KEY_PATTERN,
                description="a random text, 1 to 255 printable characters: the same request under the same key "
                "makes no third secret but replaces the one that was lost, as long as nobody has used it",
            ),
        ]
        | None
    ) = None


@endpoint(
    summary="Rotate a token's secret",
    description="A new secret for the same token, shown in this answer alone. The old one works on for `overlap_s`.",
    tags=("tokens",),
    query=Waiting,
    headers=RotationHeaders,
    body=RotateSecret,
    body_required=False,
    responses={200: Response(description="The token with its new secret.", body=RotatedTokenPayload)},
    problems={
        **UNKNOWN,
        409: "The token has ended; or the Idempotency-Key has come with another request, or its secret is in use.",
    },
)
async def rotate_token(request: web.Request) -> web.Response:
    """200 with the token and, this once, its new secret."""
    wait, body = waits(request), await read_json_if_any(request, RotateSecret)
    rotation = body.to_rotation(idempotency_key(request))
    rotated = await request.app[CHANGES].rotate(token_id_of(request), rotation, *administrator_of(request))
    effect = await effect_of(request, rotated.wait, wait=wait) if rotated.wait else None
    use = await _use(request, rotated.token)
    return json_response(RotatedTokenPayload.of_rotated(rotated, use, effect, datetime.now(UTC)))


def _selection(query: ListTokens) -> Selection:
    try:
        return query.to_selection()
    except InvalidValue as error:
        error_detail = ErrorDetail(error.reason, parameter=str(error.path[0]))
        raise BadRequest(f"The parameter '{error.path[0]}' breaks a rule.", error_detail) from None


def token_id_of(request: web.Request) -> str:
    """The id in the path. Raises `UnknownToken` for what cannot be one."""
    token_id = request.match_info["id"]
    if "\0" in token_id:
        raise UnknownToken
    return token_id


async def _changed(request: web.Request, committed: Committed, *, wait: bool) -> web.Response:
    effect = await effect_of(request, committed.wait, wait=wait) if committed.wait else None
    use = await _use(request, committed.token)
    return json_response(ChangedTokenPayload.of_changed(committed.token, use, effect, datetime.now(UTC)))


async def _use(request: web.Request, token: Token) -> usage.Use:
    return (await usage.select_use(request.app[DATABASE], [token.id])).get(token.id, usage.Use())
