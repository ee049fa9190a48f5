"""A request that is done once, however often it is sent: its answer is kept in the transaction that does it."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from services.polls.storage.answers import Answer, claim_key, keep_answer
from shared.runtime.postgres.database import Database, LockTimeout, Transaction

Work = Callable[[Transaction], Awaitable[Answer]]


class KeyReused(Exception):
    """The Idempotency-Key has come with another request."""


class KeyInUse(Exception):
    """A request under the Idempotency-Key is still being worked on."""


class Once(NamedTuple):
    """By what a request that is sent again is known: whose it is, its key, and what it asks for."""

    token_id: str
    key: str
    request: bytes

    @property
    def fingerprint(self) -> bytes:
        """What is kept of the request."""
        return hashlib.sha256(self.request).digest()


async def answer_once(database: Database, once: Once | None, work: Work, limit_s: float | None = None) -> Answer:
    """What `work` answers within a transaction, or has answered to this request before; without `once`, each time.

    A second request that comes while the first is worked on waits for it, but not for long. What fails is not kept.
    Raises `KeyReused`, `KeyInUse`, and what `work` raises.
    """
    async with database.transaction(limit_s) as transaction:
        return await (work(transaction) if once is None else _answered(transaction, once, work))


async def _answered(transaction: Transaction, once: Once, work: Work) -> Answer:
    try:
        kept = await claim_key(transaction, once.token_id, once.key, once.fingerprint)
    except LockTimeout:
        raise KeyInUse from None
    if kept is None:
        answer = await work(transaction)
        await keep_answer(transaction, once.token_id, once.key, answer)
        return answer
    if kept.fingerprint != once.fingerprint:
        raise KeyReused
    return kept.answer
