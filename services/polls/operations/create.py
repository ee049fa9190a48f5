"""Create a poll."""

from uuid import uuid4

from services.polls.domain.idempotency import IdempotencyKey, StoredResponse
from services.polls.domain.poll import PollSpec
from services.polls.operations.idempotency import claim_key, store_response
from services.polls.responses import created_response
from services.polls.storage import polls
from shared.contract.scope import Place
from shared.runtime.postgres.database import Database


async def create_poll(
    database: Database, site: str, place: Place, spec: PollSpec, key: IdempotencyKey | None
) -> StoredResponse:
    """Insert the poll and return the response, which is stored in the same transaction if there is a key.

    Raise `KeyReused` or `KeyInUse`.
    """
    async with database.transaction() as transaction:
        response = await claim_key(transaction, key)
        if response is None:
            state = await polls.insert_poll(transaction, site, place, uuid4(), spec)
            response = created_response(state)
            await store_response(transaction, key, response)
        return response
