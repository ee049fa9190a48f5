"""Revocation by an administrator, of one or many tokens, and by the holder of a token (RFC 7009).

Each responds when the revocation is effective everywhere; with `?wait=false` immediately, with the latest time at which
it will be.
"""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from services.token_authority.app_keys import ADMIN_KEY, ATTEMPTS, INTROSPECTOR, REVOKER
from services.token_authority.domain.reason import Reason
from services.token_authority.domain.revocation import Revocation
from services.token_authority.handlers.access import address_of, administrator_of, holder_of
from services.token_authority.handlers.effect import effect_of, should_wait
from services.token_authority.handlers.presented_token import token_to_revoke, tokens_to_revoke
from services.token_authority.handlers.tokens import UNKNOWN, token_id_of
from services.token_authority.operations.revocation import BULK_LIMIT_S
from services.token_authority.payloads.fields import EXAMPLE_TOKEN_ID
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
from shared.runtime.redis.rate_window import Verdict

BY_HOLDER: Final = Reason("other", "revoked by its holder")
LEAKED: Final = Reason("leaked", "reported as leaked")


@endpoint(
    summary="Revoke a token",
    description="Responds when no replica of any service accepts the token any longer. A repetition returns the first "
    "revocation.",
    tags=("revocation",),
    query=Waiting,
    body=RevokeToken,
    responses={200: Response(description="The revocation.", body=RevocationPayload)},
    problems=UNKNOWN,
)
async def revoke_token(request: web.Request) -> web.Response:
    """Return 200 with the revocation, or with an earlier one; 404 for an unknown id."""
    require_media_type(request, JSON)
    wait, why = should_wait(request), read_json(await request.read(), RevokeToken).to_reason()
    revocation = await request.app[REVOKER].revoke(token_id_of(request), why, administrator_of(request))
    return json_response(await _to_payload(request, revocation, wait=wait))


@endpoint(
    summary="Revoke tokens by conditions",
    tags=("revocation",),
    query=Waiting,
    body=RevokeTokens,
    body_example={"reason": "leaked", "ids": [EXAMPLE_TOKEN_ID]},
    responses={
        200: Response(description="How many tokens were revoked, and the revocation.", body=BulkRevocationPayload)
    },
)
async def revoke_tokens(request: web.Request) -> web.Response:
    """Return 200 with the revocation of every token that meets the conditions, including those revoked before."""
    require_media_type(request, JSON)
    wait, body = should_wait(request), read_json(await request.read(), RevokeTokens)
    chosen, why = body.to_selection().within(request[ADMIN_KEY]), body.to_reason()
    extend_deadline(request, BULK_LIMIT_S)
    revoker = request.app[REVOKER]
    if body.dry_run:
        return json_response(BulkRevocationPayload.of(await revoker.preview(chosen), None))
    bulk = await revoker.revoke_selected(chosen, why, administrator_of(request).actor)
    payload = await _to_payload(request, bulk.revocation, wait=wait) if bulk.revocation else None
    return json_response(BulkRevocationPayload.of(bulk, payload))


@endpoint(
    summary="Revoke a token that you hold (RFC 7009)",
    description="Needs no admin key: anyone who has a token may revoke it. Whitespace around the token is ignored. A "
    "value that contains a secret and more, or an access token that is mistyped or cut off, is 400.",
    tags=("revocation",),
    query=Waiting,
    body=PresentedToken,
    media_type=FORM,
    responses={
        200: Response(
            description="The revocation; an empty object for a secret that is unknown or has ended.",
            body=(RevocationPayload, NothingRevoked),
        )
    },
)
async def revoke_presented_token(request: web.Request) -> web.Response:
    """Return 200 with the revocation, or with an empty object if the secret is unknown or ended (RFC 7009 §2.2)."""
    require_media_type(request, FORM)
    wait, secret = should_wait(request), token_to_revoke(read_form(await request.read(), PresentedToken))
    if not is_well_formed(secret, ACCESS_TOKEN):
        return json_response(NothingRevoked())
    async with request.app[ATTEMPTS].token_lookup(address_of(request)) as excess:
        found = await request.app[INTROSPECTOR].find_by_secret(secret)
    if found is None or not found.secret.works(datetime.now(UTC)):
        await _count(request, excess, looked_up=1, known=0 if found is None else 1, revoked=0)
        return json_response(NothingRevoked())
    holder = holder_of(request, found.token.id)
    revocation = await request.app[REVOKER].revoke_held(found.token.id, BY_HOLDER, holder)
    await _count(request, excess, looked_up=1, known=1, revoked=revocation.tokens)
    return json_response(await _to_payload(request, revocation, wait=wait))


@endpoint(
    summary="Report leaked tokens",
    description="For secret scanners and anyone who finds tokens: revokes up to 1000 tokens in one request. Needs no "
    "admin key: anyone who has a token may revoke it. Does not wait until the revocations are effective everywhere. "
    "Whitespace around a token is ignored. With an admin key, a client secret, or a text that contains a token and "
    "more, the request is 422 and no token is revoked.",
    tags=("revocation",),
    body=LeakedTokens,
    responses={200: Response(description="How many tokens were revoked.", body=LeakedPayload)},
)
async def revoke_leaked_tokens(request: web.Request) -> web.Response:
    """Return 200 with how many tokens were revoked now, were revoked or ended before, and are unknown."""
    require_media_type(request, JSON)
    texts = tokens_to_revoke(read_json(await request.read(), LeakedTokens).tokens)
    extend_deadline(request, BULK_LIMIT_S)
    holder = holder_of(request, None)
    looked_up = sum(is_well_formed(text, ACCESS_TOKEN) for text in texts)
    async with request.app[ATTEMPTS].token_lookup(address_of(request)) as excess:
        revoked, known = await request.app[REVOKER].revoke_presented(texts, LEAKED, holder)
    await _count(request, excess, looked_up=looked_up, known=known, revoked=revoked)
    add_log_fields(request, revoked=revoked, known=known, presented=len(texts))
    return json_response(LeakedPayload(revoked, known - revoked, len(texts) - known))


async def _count(request: web.Request, excess: Verdict | None, *, looked_up: int, known: int, revoked: int) -> None:
    """Count lookups that revoked no token: this limits guessing, and not a scanner that reports valid tokens.

    Raise `TooManyAttempts` beyond the limit, unless one of the tokens is known.
    """
    attempts, address = request.app[ATTEMPTS], address_of(request)
    if excess is None:
        await attempts.count_tokens(address, looked_up - revoked)
    elif looked_up and not known:
        attempts.refuse_tokens(address, excess)


async def _to_payload(request: web.Request, revocation: Revocation, *, wait: bool) -> RevocationPayload:
    add_log_fields(request, revoked=revocation.tokens)
    effect = await effect_of(request, revocation.pending, wait=wait)
    return RevocationPayload.of_revocation(revocation.revoked_at, effect)
