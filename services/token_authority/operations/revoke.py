"""Revoke a token: the token's row and the change log's in one transaction, then word to the relay."""

from datetime import datetime

from msgspec import Struct

from services.token_authority.domain.errors import UnknownToken
from services.token_authority.operations.relay import ChangeRelay
from services.token_authority.storage import changes, tokens
from shared.runtime.postgres import Database, Executor


class Revocation(Struct, frozen=True):
    """When a token was revoked, and the number of that change in the log."""

    token_id: str
    revoked_at: datetime
    seq: int


async def revoke(database: Database, relay: ChangeRelay, token_id: str) -> Revocation:
    """End the token for good. Repeated, it answers the first revocation. Raises `UnknownToken`.

    It does not depend on Redis: the relay publishes the change as soon as Redis takes it.
    """
    async with database.transaction() as transaction:
        await changes.lock_changes(transaction)
        revoked_at = await tokens.revoke_token(transaction, token_id)
        if revoked_at is None:
            return await _earlier_revocation(transaction, token_id)
        seq = await changes.append_revocation(transaction, token_id)
    relay.wake()
    return Revocation(token_id=token_id, revoked_at=revoked_at, seq=seq)


async def _earlier_revocation(executor: Executor, token_id: str) -> Revocation:
    token = await tokens.select_token(executor, token_id)
    seq = await changes.select_revocation(executor, token_id)
    if token is None or token.revoked_at is None or seq is None:
        raise UnknownToken(token_id)
    return Revocation(token_id=token_id, revoked_at=token.revoked_at, seq=seq)
