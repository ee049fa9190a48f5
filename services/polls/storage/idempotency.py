"""Responses to requests with an Idempotency-Key, stored for a day in the table `polls.answer`."""

from typing import Final

import msgspec
from msgspec import Struct

from services.polls.domain.errors import TooManyStoredResponses
from services.polls.domain.idempotency import IdempotencyKey, StoredResponse
from shared.runtime.postgres.database import Connection

LIFETIME_H: Final = 24
MAX_RESPONSES_PER_TOKEN: Final = 10_000
MAX_BYTES_PER_TOKEN: Final = 64 * 1024 * 1024
"""The limits of what is stored for one token. A response that begins below them is stored as a whole."""


class StoredRequest(Struct, frozen=True):
    """The fingerprint of the first request with a key, and the response to it."""

    fingerprint: bytes
    response: StoredResponse


_CLAIM: Final = f"""
    -- claim_key: claim an idempotency key that is new or expired; wait for a transaction that has claimed it
    INSERT INTO polls.answer AS answer (token_id, key, fingerprint)
    SELECT $1, $2, $3
    FROM (
        SELECT count(*) AS responses, coalesce(sum(octet_length(body)), 0) AS bytes
        FROM polls.answer
        WHERE token_id = $1 AND given_at >= clock_timestamp() - interval '{LIFETIME_H} hours'
    ) AS stored
    WHERE responses < $4 AND bytes < $5
    ON CONFLICT (token_id, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, given_at = excluded.given_at
    WHERE answer.given_at < clock_timestamp() - interval '{LIFETIME_H} hours'
    RETURNING key
"""  # noqa: S608
_SELECT: Final = f"""
    -- select_response: the fingerprint of the first request with a key, and the response to it
    SELECT fingerprint, status, headers, body FROM polls.answer
    WHERE token_id = $1 AND key = $2 AND given_at >= clock_timestamp() - interval '{LIFETIME_H} hours'
"""  # noqa: S608
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

    Raise `LockTimeout` if another transaction has claimed it and does not end in time, and `TooManyStoredResponses` if
    nothing more may be stored for the token.
    """
    limits = (MAX_RESPONSES_PER_TOKEN, MAX_BYTES_PER_TOKEN)
    if await connection.fetchrow(_CLAIM, key.token_id, key.key, key.fingerprint, *limits):
        return None
    row = await connection.fetchrow(_SELECT, key.token_id, key.key)
    if row is None:
        raise TooManyStoredResponses
    response = StoredResponse(row["status"], msgspec.json.decode(row["headers"]), row["body"])
    return StoredRequest(row["fingerprint"], response)


async def store_response(connection: Connection, key: IdempotencyKey, response: StoredResponse) -> None:
    """Store the response to the request whose key this transaction has claimed."""
    headers = msgspec.json.encode(response.headers).decode()
    await connection.execute(_STORE, key.token_id, key.key, response.status, headers, response.body)


async def delete_expired_responses(connection: Connection, limit: int) -> int:
    """Delete up to `limit` responses that are older than a day. Return how many were deleted."""
    return int((await connection.execute(_DELETE_EXPIRED, limit)).rpartition(" ")[2])
