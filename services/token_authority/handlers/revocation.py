"""Revocation: by an administrator, one or many, and by whoever holds the token (RFC 7009).

Each answers when the revocation is in force everywhere, or, with `?wait=false`, at once with by when it will be.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from services.token_authority.app_keys import ADMIN_KEY, ATTEMPTS, DATABASE, REVOKER
from services.token_authority.domain.reason import Reason
from services.token_authority.handlers.access import address_of, administrator_of, holder_of
from services.token_authority.handlers.effect import effect_of, waits
from services.token_authority.handlers.tokens import UNKNOWN, token_id_of
from services.token_authority.operations.presented import known_by
from services.token_authority.operations.revoke import BULK_LIMIT_S, Revocation
from services.token_authority.payloads.introspection import PresentedToken
from services.token_authority.payloads.revocation import (
    BulkRevocationPayload,
    LeakedPayload,
    LeakedTokens,
    NothingRevoked,
    RevocationPayload,
    RevokeToken,
    RevokeTokens,
    Waiting,
)
from shared.contract.token import ACCESS_TOKEN, is_well_formed
from shared.runtime.http.application import add_log_fields, extend_deadline
from shared.runtime.http.body import FORM, JSON, read_form, read_json, require_media_type
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response

BY_HOLDER: Final = Reason("other", "revoked by whoever holds it")
LEAKED: Final = Reason("leaked", "reported as leaked")


@endpoint(
    summary="Revoke a token",
    description="Answers when no replica of any service accepts it any more; repeated, it answers the first one.",
    tags=("revocation",),
    query=Waiting,
    body=RevokeToken,
    responses={200: Response(description="The revocation.", body=RevocationPayload)},
    problems=UNKNOWN,
)
async def revoke_token(request: web.Request) -> web.Response:
    """200 with the revocation, also with an earlier one; 404 for an unknown id."""
    require_media_type(request, JSON)
    wait, why = waits(request), read_json(await request.read(), RevokeToken).to_reason()
    revocation = await request.app[REVOKER].revoke(token_id_of(request), why, *administrator_of(request))
    return json_response(await _in_force(request, revocation, wait=wait))


@endpoint(
    summary="Revoke every token that meets conditions",
    tags=("revocation",),
    query=Waiting,
    body=RevokeTokens,
    responses={200: Response(description="What has become of them.", body=BulkRevocationPayload)},
)
async def revoke_tokens(request: web.Request) -> web.Response:
    """200 with the revocation of every token that meets the conditions of the body, also of those revoked before."""
    require_media_type(request, JSON)
    wait, body = waits(request), read_json(await request.read(), RevokeTokens)
    chosen, why = body.to_selection().within(request[ADMIN_KEY]), body.to_reason()
    extend_deadline(request, BULK_LIMIT_S)
    revoker = request.app[REVOKER]
    if body.dry_run:
        return json_response(BulkRevocationPayload.of(await revoker.preview(chosen), None))
    _, by = administrator_of(request)
    bulk = await revoker.revoke_selected(chosen, why, by)
    in_force = await _in_force(request, bulk.revocation, wait=wait) if bulk.revocation else None
    return json_response(BulkRevocationPayload.of(bulk, in_force))


@endpoint(
    summary="Revoke a token that you hold (RFC 7009)",
    description="No admin key is needed: whoever holds a token may end it.",
    tags=("revocation",),
    query=Waiting,
    body=PresentedToken,
    media_type=FORM,
    responses={
        200: Response(
            description="The revocation; an empty object for a secret that is not known here, or ended.",
            body=(RevocationPayload, NothingRevoked),
        )
    },
)
async def revoke_presented_token(request: web.Request) -> web.Response:
    """200 with the revocation; with an empty object for a secret that is not known or has ended (RFC 7009 §2.2)."""
    require_media_type(request, FORM)
    wait, secret = waits(request), read_form(await request.read(), PresentedToken).token
    known = await known_by(request.app[DATABASE], secret)
    if known is None or not known.secret.works(datetime.now(UTC)):
        await _count(request, looked_up=_well_formed([secret]), ended=0)
        return json_response(NothingRevoked())
    by = holder_of(request, known.token.id)
    revocation = await request.app[REVOKER].revoke(known.token.id, BY_HOLDER, None, by)
    await _count(request, looked_up=1, ended=revocation.tokens)
    return json_response(await _in_force(request, revocation, wait=wait))


@endpoint(
    summary="Report leaked tokens",
    description="For secret scanners, and whoever finds tokens where they should not be: up to 1000, ended at once. "
    "No admin key is needed: whoever holds a token may end it. It does not wait until that is in force everywhere.",
    tags=("revocation",),
    body=LeakedTokens,
    responses={200: Response(description="How many were ended.", body=LeakedPayload)},
)
async def revoke_leaked_tokens(request: web.Request) -> web.Response:
    """200 with how many were ended, had been ended, and are not known."""
    require_media_type(request, JSON)
    texts = list(dict.fromkeys(read_json(await request.read(), LeakedTokens).tokens))
    extend_deadline(request, BULK_LIMIT_S)
    holder = holder_of(request, None)
    revoked, known = await request.app[REVOKER].revoke_presented(texts, LEAKED, holder)
    await _count(request, looked_up=_well_formed(texts), ended=revoked)
    add_log_fields(request, revoked=revoked, known=known, presented=len(texts))
    return json_response(LeakedPayload(revoked, known - revoked, len(texts) - known))


async def _count(request: web.Request, *, looked_up: int, ended: int) -> None:
    """A scanner that reports a thousand real tokens is not held up; one who guesses at them is."""
    await request.app[ATTEMPTS].count_tokens(address_of(request), looked_up - ended)


def _well_formed(texts: Sequence[str]) -> int:
    """How many of them are looked up."""
    return sum(is_well_formed(text, ACCESS_TOKEN) for text in texts)


async def _in_force(request: web.Request, revocation: Revocation, *, wait: bool) -> RevocationPayload:
    add_log_fields(request, revoked=revocation.tokens)
    effect = await effect_of(request, revocation.wait, wait=wait)
    return RevocationPayload.of_revocation(revocation.revoked_at, effect)
