"""`/v1/tokens`: issue, list and show."""

from datetime import UTC, datetime
from typing import Final

import msgspec
from aiohttp import web

from services.token_authority.app_keys import ADMIN_KEY_ID, DATABASE
from services.token_authority.domain.errors import InvalidValue, UnknownToken
from services.token_authority.domain.token import issue
from services.token_authority.handlers.cursor import read_cursor, write_cursor
from services.token_authority.payloads import (
    CreateToken,
    IssuedTokenPayload,
    TokenPage,
    TokenPayload,
)
from services.token_authority.storage import sites, tokens
from shared.runtime.body import read_json, require_media_type
from shared.runtime.json_response import json_response
from shared.runtime.problem import BadRequest, Fault
from shared.runtime.query import query_of

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1000


async def create_token(request: web.Request) -> web.Response:
    """201 with the token and, this once, its secret."""
    require_media_type(request, "application/json")
    body = read_json(await request.read(), CreateToken)
    known = await sites.select_sites(request.app[DATABASE])
    site = next((site for site in known if body.site in (None, site.id)), None)
    if site is None:
        raise InvalidValue(("site",), "no site has this id; leave it out for the default one")
    now = datetime.now(UTC)
    issued = issue(body.to_request(), site.id, request[ADMIN_KEY_ID], now)
    await tokens.insert_token(request.app[DATABASE], issued)
    location = {"Location": f"/v1/tokens/{issued.token.id}"}
    return json_response(IssuedTokenPayload.of_issued(issued, now), status=201, headers=location)


async def list_tokens(request: web.Request) -> web.Response:
    """200 with a page of tokens by name."""
    query = query_of(request)
    limit = _read_limit(query.optional("limit"))
    after = read_cursor(query.optional("cursor"))
    found = await tokens.select_tokens(request.app[DATABASE], after, limit + 1)
    page, now = found[:limit], datetime.now(UTC)
    cursor = write_cursor(page[-1].name, page[-1].id) if len(found) > limit else None
    return json_response(TokenPage(items=[TokenPayload.of(token, now) for token in page], next=cursor))


async def show_token(request: web.Request) -> web.Response:
    """200 with the token, never with its secret; 404 for an unknown id."""
    token = await tokens.select_token(request.app[DATABASE], token_id_of(request))
    if token is None:
        raise UnknownToken
    return json_response(TokenPayload.of(token, datetime.now(UTC)))


def token_id_of(request: web.Request) -> str:
    """The id in the path. Raises `UnknownToken` for what cannot be one."""
    token_id = request.match_info["id"]
    if "\0" in token_id:
        raise UnknownToken
    return token_id


def _read_limit(text: str) -> int:
    if not text:
        return DEFAULT_PAGE
    try:
        limit = msgspec.convert(text, int, strict=False)
    except msgspec.ValidationError:
        limit = 0
    if not 1 <= limit <= MAX_PAGE:
        raise BadRequest("The limit is out of range.", Fault(f"a number from 1 to {MAX_PAGE}", parameter="limit"))
    return limit
