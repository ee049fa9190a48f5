"""Create a poll."""

from datetime import datetime
from uuid import uuid4

from services.polls.domain.audit import Actor, AuditHead, audit_record
from services.polls.domain.idempotency import IdempotencyKey, StoredResponse
from services.polls.domain.poll import Poll, PollSpec
from services.polls.domain.results import Tally
from services.polls.domain.state import PollState
from services.polls.operations.idempotency import claim_key, store_response
from services.polls.payloads.audit import whole_poll
from services.polls.responses import created_response
from services.polls.storage import polls
from services.polls.storage.poll_reads import PollReads
from shared.contract.scope import Place
from shared.runtime.postgres.database import Connection, Database


async def create_poll(
    database: Database, reads: PollReads, site: str, place: Place, spec: PollSpec, actor: Actor
) -> PollState:
    """Create the poll and return it."""
    state = _new_state(place, spec, await reads.select_time())
    await _insert(database, site, state, actor)
    return state


async def create_poll_once(
    database: Database,
    reads: PollReads,
    site: str,
    place: Place,
    spec: PollSpec,
    actor: Actor,
    key: IdempotencyKey | None,
) -> StoredResponse:
    """Create the poll and return the response, which is stored in the same transaction if there is a key.

    Raise `KeyReused`, `KeyInUse` or `TooManyStoredResponses`.
    """
    if key is None:
        return created_response(await create_poll(database, reads, site, place, spec, actor))
    async with database.transaction() as transaction:
        response = await claim_key(transaction, key)
        if response is None:
            state = await create_within(transaction, site, place, spec, actor)
            response = created_response(state)
            await store_response(transaction, key, response)
        return response


async def create_within(connection: Connection, site: str, place: Place, spec: PollSpec, actor: Actor) -> PollState:
    """Create the poll inside a transaction of the caller."""
    state = _new_state(place, spec, await polls.select_time(connection))
    await _insert(connection, site, state, actor)
    return state


def _new_state(place: Place, spec: PollSpec, now: datetime) -> PollState:
    poll = Poll(uuid4(), place, spec, version=1, created_at=now, updated_at=now)
    return PollState(poll, Tally(0, 0, {}), revision=0, at=now)


async def _insert(connection: Connection, site: str, state: PollState, actor: Actor) -> None:
    """Insert the poll and begin its audit trail."""
    record = audit_record("poll.create", state, AuditHead(), actor, before={}, after=whole_poll(state))
    await polls.insert_poll(connection, site, state.poll, record)
