"""Create a poll."""

from uuid import uuid4

from services.polls.domain.audit import Actor, AuditHead, audit_record
from services.polls.domain.idempotency import IdempotencyKey, StoredResponse
from services.polls.domain.poll import PollSpec
from services.polls.domain.state import PollState
from services.polls.operations.idempotency import claim_key, store_response
from services.polls.payloads.audit import whole_poll
from services.polls.responses import created_response
from services.polls.storage import audit, polls
from shared.contract.scope import Place
from shared.runtime.postgres.database import Connection, Database


async def create_poll(database: Database, site: str, place: Place, spec: PollSpec, actor: Actor) -> PollState:
    """Create the poll and return it."""
    async with database.transaction() as transaction:
        return await create_within(transaction, site, place, spec, actor)


async def create_poll_once(
    database: Database, site: str, place: Place, spec: PollSpec, actor: Actor, key: IdempotencyKey | None
) -> StoredResponse:
    """Create the poll and return the response, which is stored in the same transaction if there is a key.

    Raise `KeyReused`, `KeyInUse` or `TooManyStoredResponses`.
    """
    async with database.transaction() as transaction:
        response = await claim_key(transaction, key)
        if response is None:
            state = await create_within(transaction, site, place, spec, actor)
            response = created_response(state)
            await store_response(transaction, key, response)
        return response


async def create_within(connection: Connection, site: str, place: Place, spec: PollSpec, actor: Actor) -> PollState:
    """Insert the poll and begin its audit trail, inside a transaction of the caller."""
    state = await polls.insert_poll(connection, site, place, uuid4(), spec)
    record = audit_record("poll.create", state, AuditHead(), actor, before={}, after=whole_poll(state))
    await audit.append_audit(connection, site, state.poll, record)
    return state
