"""Sync a guard: what has changed since it last asked, and a lease, with no change slipping in between the two."""

from services.token_authority.domain.lease import GuardKey, may_follow
from services.token_authority.operations.confirmations import Confirmations
from services.token_authority.storage import changes, guards, usage
from shared.contract.change import Change
from shared.contract.sync import MAX_CHANGES_A_SYNC, SyncAnswer, SyncRequest
from shared.runtime.postgres import Database


async def sync(
    database: Database,
    confirmations: Confirmations,
    guard: GuardKey,
    request: SyncRequest,
    *,
    lease_ms: int,
    issuer: str,
) -> SyncAnswer:
    """Put the lease on record with what the guard says it has applied, never with more."""
    if request.applied is not None:
        confirmations.hear_early(guard, request.applied)
    if request.usage:
        await usage.add_uses(database, request.usage)
    applied = request.applied
    found: list[Change] = []
    async with database.transaction() as transaction:
        await changes.lock_log_shared(transaction)
        span = await changes.select_span(transaction)
        if applied is not None and not span.floor <= applied <= span.head:
            applied = None
        if applied is not None and 0 < span.head - applied <= MAX_CHANGES_A_SYNC:
            found = await changes.select_changes(transaction, applied)
        await guards.renew_lease(transaction, guard, applied or 0, lease_ms)
    confirmations.hear(guard, applied or 0)
    follows = may_follow(applied, span, found)
    return SyncAnswer(
        head=span.head,
        lease_ms=lease_ms,
        afresh=not follows,
        changes=found if follows else [],
        issuer=issuer,
    )
