"""Create a poll."""

from datetime import datetime
from typing import NamedTuple
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


class Creation(NamedTuple):
    """A poll to create at a place of a site, and who creates it."""

    site: str
    place: Place
    spec: PollSpec
    actor: Actor


async def create_poll(database: Database, reads: PollReads, creation: Creation) -> PollState:
    """Create the poll and return it."""
    return await _insert(database, creation, await reads.select_time())


async def create_poll_once(
    database: Database, reads: PollReads, creation: Creation, key: IdempotencyKey | None
) -> StoredResponse:
    """Create the poll and return the response, which is stored in the same transaction if there is a key.

    Raise `KeyReused`, `KeyInUse` or `TooManyStoredResponses`.
    """
    if key is None:
        return created_response(await create_poll(database, reads, creation))
    async with database.transaction() as transaction:
        response = await claim_key(transaction, key)
        if response is None:
            response = created_response(await create_within(transaction, creation))
            await store_response(transaction, key, response)
        return response


async def create_within(connection: Connection, creation: Creation) -> PollState:
    """Create the poll inside a transaction of the caller."""
    return await _insert(connection, creation, await polls.select_time(connection))


async def _insert(connection: Connection, creation: Creation, now: datetime) -> PollState:
    """Insert the poll and begin its audit trail."""
    poll = Poll(uuid4(), creation.place, creation.spec, version=1, created_at=now, updated_at=now)
    state = PollState(poll, Tally(0, 0, {}), revision=0, at=now)
    record = audit_record("poll.create", state, AuditHead(), creation.actor, before={}, after=whole_poll(state))
    await polls.insert_poll(connection, creation.site, poll, record)
    return state
