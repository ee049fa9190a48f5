"""How far a change is in force, as an answer says it: waited for, or with by when it will be."""

from datetime import UTC, datetime, timedelta

from aiohttp import web

from services.token_authority.app_keys import CONFIRMATIONS
from services.token_authority.domain.lease import Wait
from services.token_authority.payloads.revocation import EffectPayload, Waiting
from shared.runtime.http.application import add_log_fields, extend_deadline
from shared.runtime.http.query import read_query


def waits(request: web.Request) -> bool:
    """Whether the caller wants to wait. Raises `BadRequest`."""
    return read_query(request, Waiting).wait


async def effect_of(request: web.Request, change: Wait, *, wait: bool) -> EffectPayload:
    """When the change is in force everywhere, or at once where nobody wants to wait."""
    confirmations = request.app[CONFIRMATIONS]
    effect = None
    if wait:
        extend_deadline(request, confirmations.left_s(change))
        effect = await confirmations.wait(change)
    add_log_fields(
        request,
        seq=change.seq,
        confirmed=effect.confirmed if effect else None,
        expired=effect.expired if effect else None,
    )
    effective_by = datetime.now(UTC) + timedelta(seconds=confirmations.left_s(change))
    return EffectPayload.of(change.seq, effect, effective_by)
