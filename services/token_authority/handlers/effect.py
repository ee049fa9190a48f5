"""Wait until a change is effective, and describe its effect in the response."""

from datetime import UTC, datetime, timedelta

from aiohttp import web

from services.token_authority.app_keys import CONFIRMATIONS
from services.token_authority.domain.lease import PendingChange
from services.token_authority.payloads.revocation import EffectPayload, Waiting
from shared.runtime.http.application import add_log_fields, extend_deadline
from shared.runtime.http.query import read_query


def should_wait(request: web.Request) -> bool:
    """Return whether the response waits for the change to be effective. Raise `BadRequest`."""
    return read_query(request, Waiting).wait


async def effect_of(request: web.Request, change: PendingChange, *, wait: bool) -> EffectPayload:
    """Return the effect of a change: with `wait` when it is effective everywhere, else immediately."""
    confirmations = request.app[CONFIRMATIONS]
    effect = None
    if wait:
        extend_deadline(request, confirmations.max_wait_s(change))
        effect = await confirmations.wait_until_effective(change)
    add_log_fields(
        request,
        seq=change.seq,
        confirmed=effect.confirmed if effect else None,
        expired=effect.expired if effect else None,
    )
    effective_by = datetime.now(UTC) + timedelta(seconds=confirmations.max_wait_s(change))
    return EffectPayload.of(change.seq, effect, effective_by)
