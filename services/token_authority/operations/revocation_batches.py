"""Carry out revocations that arrive together in one transaction.

Each transaction waits for two locks and for syncs, reads all leases, and waits for a commit to disk. While one of them
runs, the revocations that arrive are gathered for the next one. A single revocation does not wait for others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.reason import Reason
from services.token_authority.domain.revocation import Revocation
from services.token_authority.storage.audit import REQUIRED_READING, note_change
from shared.runtime.postgres.database import DatabaseUnavailable
from shared.runtime.process.logs import CURRENT_REQUEST_ID

MAX_TOGETHER: Final = 50
"""The most revocations of one transaction: few enough for its time limit, on a busy database too."""


class RevocationRequest(NamedTuple):
    """One token to revoke."""

    token_id: str
    why: Reason
    by: Actor


RevokeTogether = Callable[[Sequence[RevocationRequest]], Awaitable[dict[str, Revocation]]]
"""Revoke different tokens in one transaction. Return the revocations by token id, without tokens that do not work."""


class RevocationBatches:
    """Gathers revocations while a transaction is in progress. Create one instance per process."""

    def __init__(self, revoke: RevokeTogether) -> None:
        self._revoke = revoke
        self._waiting: list[_WaitingRevocation] = []
        self._runner: asyncio.Task[None] | None = None

    async def revoke(self, request: RevocationRequest) -> Revocation | None:
        """Return the revocation, or `None` if the token is unknown or was revoked before. Raise what `revoke` raises.

        If the caller is cancelled, the token may be revoked nevertheless.
        """
        result: asyncio.Future[Revocation | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_WaitingRevocation(request, result))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        try:
            return await result
        finally:
            note_change()  # the transaction has ended in another task

    async def _run(self) -> None:
        CURRENT_REQUEST_ID.set(None)  # its log lines belong to none of the requests
        REQUIRED_READING.set(None)  # nor do its transactions
        try:
            while batch := self._take():
                await self._carry_out(batch)
        finally:
            self._runner = None
            for left in self._waiting:  # the process is stopping
                left.fail(DatabaseUnavailable("the revocation was cancelled"))
            self._waiting.clear()

    def _take(self) -> "list[_WaitingRevocation]":
        """Return the next revocations of different tokens, without those that their request has given up."""
        chosen: dict[str, _WaitingRevocation] = {}
        left = []
        for waiting in self._waiting:
            if waiting.result.done():
                continue
            if len(chosen) < MAX_TOGETHER and waiting.request.token_id not in chosen:
                chosen[waiting.request.token_id] = waiting
            else:
                left.append(waiting)
        self._waiting = left
        return list(chosen.values())

    async def _carry_out(self, batch: "Sequence[_WaitingRevocation]") -> None:
        """Revoke together; one after the other if one of them fails for a reason of its own."""
        try:
            revoked = await self._revoke([each.request for each in batch])
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, DatabaseUnavailable) and len(batch) > 1:
                for each in batch:
                    await self._carry_out([each])
                return
            for each in batch:
                each.fail(error)
            if not isinstance(error, Exception):
                raise
        else:
            for each in batch:
                each.answer(revoked.get(each.request.token_id))


class _WaitingRevocation(NamedTuple):
    """A revocation that waits, and the future for its result, which is done if its request has given up."""

    request: RevocationRequest
    result: "asyncio.Future[Revocation | None]"

    def answer(self, revocation: Revocation | None) -> None:
        if not self.result.done():
            self.result.set_result(revocation)

    def fail(self, error: BaseException) -> None:
        if not self.result.done():
            is_failure = isinstance(error, Exception)
            self.result.set_exception(error if is_failure else DatabaseUnavailable("the revocation was cancelled"))
