"""Make sure that a request with an `Idempotency-Key` is carried out once."""

from services.polls.domain.errors import KeyInUse, KeyReused
from services.polls.domain.idempotency import IdempotencyKey, StoredResponse
from services.polls.storage import idempotency
from shared.runtime.postgres.database import Connection, LockTimeout


async def claim_key(connection: Connection, key: IdempotencyKey | None) -> StoredResponse | None:
    """Claim the key for this transaction, or return the response to the request that has used it before.

    Without a key, do nothing. The claim ends with the transaction, unless that stores a response. Raise `KeyReused` if
    that request was another one, `KeyInUse` if it is still in progress after a short wait, and
    `TooManyStoredResponses` if the token has used up its share of the storage; then nothing may be done, because the
    response could not be stored.
    """
    if key is None:
        return None
    try:
        stored = await idempotency.claim_key(connection, key)
    except LockTimeout:
        raise KeyInUse from None
    if stored is None:
        return None
    if stored.fingerprint != key.fingerprint:
        raise KeyReused
    return stored.response


async def store_response(connection: Connection, key: IdempotencyKey | None, response: StoredResponse) -> None:
    """Store the response under the key that this transaction has claimed. Without a key, do nothing."""
    if key is not None:
        await idempotency.store_response(connection, key, response)
