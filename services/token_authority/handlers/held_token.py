"""`/v1/token`: show a token to its holder, even if it does not work, and let the holder rotate it."""

from datetime import UTC, datetime

from aiohttp import web

from services.token_authority.app_keys import ATTEMPTS, CHANGES, INTROSPECTOR
from services.token_authority.domain.errors import Unauthenticated
from services.token_authority.domain.self_rotation import MAX_SECRETS_PER_DAY
from services.token_authority.domain.token import TokenLookup
from services.token_authority.handlers.access import address_of, holder_of
from services.token_authority.handlers.effect import effect_of, should_wait
from services.token_authority.handlers.idempotency import IN_USE, REUSED, key_of
from services.token_authority.handlers.presented_credential import bearer_of
from services.token_authority.payloads.idempotency import IdempotencyHeaders
from services.token_authority.payloads.revocation import Waiting
from services.token_authority.payloads.token_requests import RotateHeldToken
from services.token_authority.payloads.tokens import HeldTokenPayload, RotatedHeldTokenPayload
from shared.contract.presented_secret import describe_flaw
from shared.contract.token import ACCESS_TOKEN, digest
from shared.runtime.http.body import read_json_if_any
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response


@endpoint(
    summary="Show the token that you hold",
    description="Authenticate with the token. If the token does not work, the response says why and since when.",
    tags=("tokens",),
    responses={200: Response(description="The token.", body=HeldTokenPayload)},
)
async def show_held_token(request: web.Request) -> web.Response:
    """Return 200 with the token in any status; 401 for a token that was not issued here."""
    found = await _find_held_token(request)
    return json_response(HeldTokenPayload.of(found.token, found.secret, datetime.now(UTC)))


@endpoint(
    summary="Rotate the token that you hold",
    description="Authenticate with the newest secret of the token. Creates a new secret, which is shown only in this "
    "response; the presented one works for `overlap_s` more seconds. The token keeps its scopes, expiry and owner. An "
    "administrator has to allow this, with `self_rotation` of the token.",
    tags=("tokens",),
    query=Waiting,
    headers=IdempotencyHeaders,
    body=RotateHeldToken,
    body_required=False,
    responses={200: Response(description="The token with its new secret.", body=RotatedHeldTokenPayload)},
    problems={
        403: "The token may not be rotated by its holder, or not from this address.",
        409: f"The presented secret is not the newest, an earlier one still works, or {IN_USE}.",
        429: f"The token got {MAX_SECRETS_PER_DAY} secrets within a day, or too many tokens or wrong credentials were "
        "sent from this address; see `Retry-After`.",
        **REUSED,
    },
)
async def rotate_held_token(request: web.Request) -> web.Response:
    """Return 200 with the token and its new secret; 401 if the presented secret does not work."""
    found = await _find_held_token(request)
    wait, body = should_wait(request), await read_json_if_any(request, RotateHeldToken)
    holder = holder_of(request, found.token.id)
    rotation = body.to_rotation(key_of(request, holder, body))
    rotated = await request.app[CHANGES].rotate_held(found, rotation, holder, address_of(request))
    effect = await effect_of(request, rotated.pending, wait=wait) if rotated.pending else None
    return json_response(RotatedHeldTokenPayload.of_rotated(rotated, effect, datetime.now(UTC)))


async def _find_held_token(request: web.Request) -> TokenLookup:
    """Return the token that is presented as bearer token, in any status. Raise `Unauthenticated` for an unknown one."""
    attempts, address = request.app[ATTEMPTS], address_of(request)
    secret = bearer_of(request, "an access token as 'Authorization: Bearer pgt_…'")
    refusal = Unauthenticated("This access token was not issued here.", "Bearer")
    attempts.require_kind("access_token", secret, ACCESS_TOKEN, "send an access token", "Bearer")
    flaw = describe_flaw(secret, ACCESS_TOKEN)
    if flaw is not None:
        await attempts.record_failure("access_token", address, Unauthenticated(flaw, "Bearer"))
    shown = digest(secret)
    async with attempts.lookup("access_token", address, shown):
        found = await request.app[INTROSPECTOR].find_by_secret(secret)
    attempts.remember(shown, is_valid=found is not None)
    if found is None:
        await attempts.record_failure("access_token", address, refusal)
    return found
