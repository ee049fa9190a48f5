"""Answers that a request with an Idempotency-Key is given once and for a day, however often it is sent."""

from typing import Final

import msgspec
from msgspec import Struct

from shared.runtime.postgres.database import Connection

LIFE_H: Final = 24


class Answer(Struct, frozen=True):
    """What was answered, to be sent again as it was."""

    status: int
    headers: dict[str, str]
    body: bytes


class Kept(Struct, frozen=True):
    """An answer, and the fingerprint of the request that it was for."""

    fingerprint: bytes
    answer: Answer


_CLAIM: Final = f"""
    -- claim_key: take an idempotency key that is new or older than a day; waits for a transaction that has it
    INSERT INTO polls.answer AS answer (token_id, key, fingerprint) VALUES ($1, $2, $3)
    ON CONFLICT (token_id, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, given_at = excluded.given_at
    WHERE answer.given_at < clock_timestamp() - interval '{LIFE_H} hours'
    RETURNING key
"""  # noqa: S608
_SELECT: Final = """
    -- select_answer: what was answered under a key
    SELECT fingerprint, status, headers, body FROM polls.answer WHERE token_id = $1 AND key = $2
"""
_KEEP: Final = """
    -- keep_answer: what is answered under a key that this transaction has taken
    UPDATE polls.answer SET status = $3, headers = $4, body = $5 WHERE token_id = $1 AND key = $2
"""
_FORGET: Final = f"""
    -- forget_answers: remove some of those that are older than a day
    DELETE FROM polls.answer WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM polls.answer WHERE given_at < clock_timestamp() - interval '{LIFE_H} hours'
        ORDER BY given_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ))
"""  # noqa: S608


async def claim_key(connection: Connection, token_id: str, key: str, fingerprint: bytes) -> Kept | None:
    """Take the key for this transaction, or give what was answered under it. Raises `LockTimeout`."""
    if await connection.fetchrow(_CLAIM, token_id, key, fingerprint):
        return None
    (row,) = await connection.fetch(_SELECT, token_id, key)
    return Kept(row["fingerprint"], Answer(row["status"], msgspec.json.decode(row["headers"]), row["body"]))


async def keep_answer(connection: Connection, token_id: str, key: str, answer: Answer) -> None:
    """Keep what is answered, under the key that this transaction has taken."""
    headers = msgspec.json.encode(answer.headers).decode()
    await connection.execute(_KEEP, token_id, key, answer.status, headers, answer.body)


async def forget_answers(connection: Connection, most: int) -> int:
    """Remove answers older than a day, up to `most` of them; how many there were."""
    return int((await connection.execute(_FORGET, most)).rpartition(" ")[2])
