"""Responses to requests with an Idempotency-Key, stored for a day in the table `polls.answer`."""

from typing import Final

import msgspec
from msgspec import Struct

from services.polls.domain.idempotency import IdempotencyKey, StoredResponse
from shared.runtime.postgres.database import Connection

LIFETIME_H: Final = 24


class StoredRequest(Struct, frozen=True):
    """The fingerprint of the first request with a key, and the response to it."""

    fingerprint: bytes
    response: StoredResponse


_CLAIM: Final = f"""
    -- claim_key: claim an idempotency key that is new or expired; wait for a transaction that has claimed it
    INSERT INTO polls.answer AS answer (token_id, key, fingerprint) VALUES ($1, $2, $3)
    ON CONFLICT (token_id, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, given_at = excluded.given_at
    WHERE answer.given_at < clock_timestamp() - interval '{LIFETIME_H} hours'
    RETURNING key
"""  # noqa: S608
_SELECT: Final = """
    -- select_response: the fingerprint of the first request with a key, and the response to it
    SELECT fingerprint, status, headers, body FROM polls.answer WHERE token_id = $1 AND key = $2
"""
_STORE: Final = """
    -- store_response: store the response to a request whose key this transaction has claimed
    UPDATE polls.answer SET status = $3, headers = $4, body = $5 WHERE token_id = $1 AND key = $2
"""
_DELETE_EXPIRED: Final = f"""
    -- delete_expired_responses: delete some responses that are older than a day
    DELETE FROM polls.answer WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM polls.answer WHERE given_at < clock_timestamp() - interval '{LIFETIME_H} hours'
        ORDER BY given_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ))
"""  # noqa: S608


async def claim_key(connection: Connection, key: IdempotencyKey) -> StoredRequest | None:
    """Claim the key for this transaction. Return the request that has used it before, if there is one.

    Raise `LockTimeout` if another transaction has claimed it and does not end in time.
    """
    if await connection.fetchrow(_CLAIM, key.token_id, key.key, key.fingerprint):
        return None
    (row,) = await connection.fetch(_SELECT, key.token_id, key.key)
    response = StoredResponse(row["status"], msgspec.json.decode(row["headers"]), row["body"])
    return StoredRequest(row["fingerprint"], response)


async def store_response(connection: Connection, key: IdempotencyKey, response: StoredResponse) -> None:
    """Store the response to the request whose key this transaction has claimed."""
    headers = msgspec.json.encode(response.headers).decode()
    await connection.execute(_STORE, key.token_id, key.key, response.status, headers, response.body)


async def delete_expired_responses(connection: Connection, limit: int) -> int:
    """Delete up to `limit` responses that are older than a day. Return how many were deleted."""
    return int((await connection.execute(_DELETE_EXPIRED, limit)).rpartition(" ")[2])
