"""Revocation: by an administrator, one or many, and by whoever holds the token (RFC 7009).

Each answers when the revocation is in force everywhere, or, with `?wait=false`, at once with by when it will be.
"""

from datetime import UTC, datetime, timedelta

from aiohttp import web

from services.token_authority.app_keys import DATABASE, REVOKER
from services.token_authority.handlers.tokens import token_id_of
from services.token_authority.operations.revoke import BULK_LIMIT_S, Revocation
from services.token_authority.payloads import BulkRevocationPayload, RevocationPayload, RevokeTokens
from services.token_authority.storage.tokens import select_token_by_digest
from shared.contract.token import ACCESS_TOKEN, digest, is_well_formed
from shared.runtime.body import read_form_field, read_json, require_media_type
from shared.runtime.json_response import json_response
from shared.runtime.problem import BadRequest, Fault
from shared.runtime.query import query_of
from shared.runtime.request_line import add_to_line, allow_more_time


async def revoke_token(request: web.Request) -> web.Response:
    """200 with the revocation, also with an earlier one; 404 for an unknown id."""
    wait = _wait(request)
    revocation = await request.app[REVOKER].revoke(token_id_of(request))
    return json_response(await _in_force(request, revocation, wait=wait))


async def revoke_tokens(request: web.Request) -> web.Response:
    """200 with the revocation of every token that meets the conditions of the body, also of those revoked before."""
    require_media_type(request, "application/json")
    wait, chosen = _wait(request), read_json(await request.read(), RevokeTokens).to_selection()
    allow_more_time(request, BULK_LIMIT_S)
    bulk = await request.app[REVOKER].revoke_selected(chosen)
    in_force = await _in_force(request, bulk.revocation, wait=wait) if bulk.revocation else None
    return json_response(BulkRevocationPayload.of(bulk, in_force))


async def revoke_presented_token(request: web.Request) -> web.Response:
    """200 with the revocation; also, with an empty object, for a token that is not known (RFC 7009 §2.2)."""
    require_media_type(request, "application/x-www-form-urlencoded")
    wait, secret = _wait(request), read_form_field(await request.read(), "token")
    known = None
    if is_well_formed(secret, ACCESS_TOKEN):
        known = await select_token_by_digest(request.app[DATABASE], digest(secret))
    if known is None:
        return json_response({})
    revocation = await request.app[REVOKER].revoke(known.token.id)
    return json_response(await _in_force(request, revocation, wait=wait))


async def _in_force(request: web.Request, revocation: Revocation, *, wait: bool) -> RevocationPayload:
    revoker = request.app[REVOKER]
    effect = None
    if wait:
        allow_more_time(request, revoker.left_s(revocation))
        effect = await revoker.effect(revocation)
    add_to_line(
        request,
        seq=revocation.wait.seq,
        revoked=revocation.tokens,
        confirmed=effect.confirmed if effect else None,
        expired=effect.expired if effect else None,
    )
    effective_by = datetime.now(UTC) + timedelta(seconds=revoker.left_s(revocation))
    return RevocationPayload.of(revocation, effect, effective_by)


def _wait(request: web.Request) -> bool:
    choice = query_of(request).optional("wait")
    if choice not in ("", "true", "false"):
        raise BadRequest("The parameter 'wait' is not understood.", Fault("'true' or 'false'", parameter="wait"))
    return choice != "false"
