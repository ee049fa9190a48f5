"""Recognise a request that is repeated under its `Idempotency-Key`, and remember what a request created."""

from services.token_authority.domain.errors import IdempotencyKeyReused, RequestRepeated
from services.token_authority.domain.idempotency import IdempotencyKey
from services.token_authority.storage.idempotency import (
    KeyedRequest,
    insert_keyed_request,
    lock_idempotency_key,
    select_keyed_request,
)
from shared.runtime.postgres.database import Connection


async def find_earlier_request(transaction: Connection, key: IdempotencyKey | None) -> KeyedRequest | None:
    """Return the earlier request under `key`, and lock the key until the transaction ends.

    Raise `IdempotencyKeyReused` if that request had another body, or `RequestRepeated` if it may not be repeated.
    """
    if key is None:
        return None
    await lock_idempotency_key(transaction, key)
    earlier = await select_keyed_request(transaction, key)
    if earlier is not None and not key.may_repeat:
        raise RequestRepeated(earlier.holder_id)
    if earlier is not None and earlier.request_digest != key.request_digest:
        raise IdempotencyKeyReused
    return earlier


async def remember_request(
    transaction: Connection, key: IdempotencyKey | None, holder_id: str, secret_id: str | None
) -> None:
    """Store what the request under `key` created, if it has a key."""
    if key is not None:
        await insert_keyed_request(transaction, key, holder_id, secret_id)
