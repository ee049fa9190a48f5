"""Sync guards: what has changed since each last asked, and a lease, with no change slipping in between the two.

Guards that ask while a transaction is under way share the next one: a push makes all of them ask at once.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from services.token_authority.domain.lease import GuardKey, Span, may_follow
from services.token_authority.operations.confirmations import Confirmations
from services.token_authority.storage import changes, guards, usage
from shared.contract.change import Change
from shared.contract.sync import MAX_CHANGES_PER_SYNC, SyncAnswer, SyncRequest
from shared.runtime.postgres.database import Database


class Syncs:
    """One a process; `run` it beside."""

    def __init__(self, database: Database, confirmations: Confirmations, *, lease_ms: int, issuer: str) -> None:
        self._database = database
        self._confirmations = confirmations
        self._lease_ms = lease_ms
        self._issuer = issuer
        self._asking: list[_Ask] = []
        self._someone_asks = asyncio.Event()

    async def sync(self, guard: GuardKey, request: SyncRequest, sites: Sequence[str] | None = None) -> SyncAnswer:
        """Put the lease on record with what the guard says it has applied, never with more.

        Uses count where they are of tokens of these sites, if any are named.
        """
        if request.applied is not None:
            self._confirmations.hear_early(guard, request.applied)
        if request.usage:
            await usage.add_uses(self._database, request.usage, sites)
            await usage.add_secret_uses(self._database, request.usage, sites)
        ask = _Ask(guard, request.applied, asyncio.get_running_loop().create_future())
        self._asking.append(ask)
        self._someone_asks.set()
        return await ask.answer

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            await self._someone_asks.wait()
            self._someone_asks.clear()
            asking, self._asking = self._asking, []
            try:
                answers = await self._answers(asking)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is an answer to those who wait
                for ask in asking:
                    ask.fail(error)
            else:
                for ask, answer in zip(asking, answers, strict=True):
                    ask.succeed(answer)

    async def _answers(self, asking: "Sequence[_Ask]") -> list[SyncAnswer]:
        async with self._database.transaction() as transaction:
            await changes.lock_log_shared(transaction)
            span = await changes.select_span(transaction)
            places = [_believed(ask.applied, span) for ask in asking]
            missing = [seq for seq in places if seq is not None and seq < span.head]
            found = await changes.select_changes(transaction, min(missing)) if missing else []
            applied = {ask.guard: seq or 0 for ask, seq in zip(asking, places, strict=True)}
            await guards.renew_leases(transaction, applied, self._lease_ms)
        for guard, seq in applied.items():
            self._confirmations.hear(guard, seq)
        return [self._answer(seq, span, found) for seq in places]

    def _answer(self, applied: int | None, span: Span, found: list[Change]) -> SyncAnswer:
        missing = [] if applied is None else [change for change in found if change.seq > applied]
        follows = may_follow(applied, span, missing)
        return SyncAnswer(
            head=span.head,
            lease_ms=self._lease_ms,
            resync=not follows,
            afresh=not follows,
            changes=missing if follows else [],
            issuer=self._issuer,
        )


class _Ask(NamedTuple):
    """A guard that waits; nobody waits any more where its request has been given up."""

    guard: GuardKey
    applied: int | None
    answer: "asyncio.Future[SyncAnswer]"

    def succeed(self, answer: SyncAnswer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


def _believed(applied: int | None, span: Span) -> int | None:
    """Where in the log a guard is; `None` where it has to start afresh, the log not holding what it lacks."""
    if applied is None or not max(span.floor, span.head - MAX_CHANGES_PER_SYNC) <= applied <= span.head:
        return None
    return applied
