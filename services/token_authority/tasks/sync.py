"""Answer guard syncs: send the changes since the last one and grant a lease, with no change in between.

Syncs that arrive during a transaction share the next one, because a push makes all guards sync at the same time.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import structlog

from services.token_authority.domain.change_log import (
    AppliedChange,
    LogRange,
    contradicts,
    is_contiguous,
)
from services.token_authority.domain.lease import GuardKey
from services.token_authority.domain.restoration import Evidence
from services.token_authority.storage import changes, guards, usage
from services.token_authority.tasks.confirmations import Confirmations
from services.token_authority.tasks.receipts import Receipts
from services.token_authority.tasks.restoration import RestorationWatch
from shared.contract.change import Change
from shared.contract.sync import MAX_CHANGES_PER_SYNC, SyncAnswer, SyncRequest, TokenUse
from shared.contract.token import SECRET_PATTERN, SECRET_START
from shared.runtime.http.address import read_address
from shared.runtime.http.user_agent import shorten_user_agent
from shared.runtime.postgres.database import Connection, Database
from shared.runtime.process.redaction import redactor

GATHERING_S: Final = 0.005
"""How long syncs are gathered while a change waits for other guards, whose confirmations come first."""
_log = structlog.get_logger()

_REDACT: Final = redactor(SECRET_PATTERN, SECRET_START)


class Syncs:
    """Answers syncs. Create one instance per process and supervise its `run()`."""

    def __init__(
        self,
        database: Database,
        confirmations: Confirmations,
        receipts: Receipts,
        watch: RestorationWatch,
        *,
        lease_ms: int,
        issuer: str,
        store_origin: bool = True,
    ) -> None:
        self._database = database
        self._store_origin = store_origin
        self._confirmations = confirmations
        self._receipts = receipts
        self._watch = watch
        self._lease_ms = lease_ms
        self._issuer = issuer
        self._waiting: list[_WaitingSync] = []
        self._has_waiting = asyncio.Event()

    async def sync(self, guard: GuardKey, request: SyncRequest, sites: Sequence[str] | None = None) -> SyncAnswer:
        """Store the lease with what the guard has applied, and return the changes since then. Raise `Restored`.

        Count the reported uses of tokens of these sites, or of all tokens if `sites` is `None`.
        """
        last = None if request.last is None else self._receipts.verify(request.last)
        if last is not None:
            self._confirmations.confirm_early(guard, last)
        if request.usage:
            await usage.add_uses(self._database, [self._with_valid_origin(use) for use in request.usage], sites)
            await usage.add_secret_uses(self._database, request.usage, sites)
        verified = [self._receipts.verify(change) for change in request.unconfirmed]
        proven = [change for change in (*verified, last) if change is not None]
        waiting = _WaitingSync(guard, request.applied, proven, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._has_waiting.set()
        return await waiting.answer

    def _with_valid_origin(self, use: TokenUse) -> TokenUse:
        """Return the use with the origin that is stored: none, if this is switched off or a part of it is invalid."""
        address = read_address(use.last_address or "") if self._store_origin else None
        agent = shorten_user_agent(use.last_user_agent or "", _REDACT) if self._store_origin else None
        return msgspec.structs.replace(use, last_address=str(address) if address else None, last_user_agent=agent)

    async def run(self) -> None:
        """Answer the waiting syncs, batch by batch, until cancelled."""
        while True:
            await self._has_waiting.wait()
            if self._confirmations.are_awaited:
                await asyncio.sleep(GATHERING_S)
            self._has_waiting.clear()
            batch, self._waiting = self._waiting, []
            try:
                answers = await self._answer_batch(batch)
            except Exception as error:  # noqa: BLE001 - every waiting request has to get an answer
                for waiting in batch:
                    waiting.fail(error)
            else:
                for waiting, answer in zip(batch, answers, strict=True):
                    waiting.succeed(answer)

    async def _answer_batch(self, batch: "Sequence[_WaitingSync]") -> list[SyncAnswer]:
        expected = self._watch.newest
        async with self._database.transaction() as transaction:
            await changes.lock_log_shared(transaction)
            log_range = await changes.select_range(transaction)
            await self._watch.require_current(log_range.head, expected)
            if evidence := await _find_evidence(transaction, batch, log_range):
                await self._watch.refuse(evidence)
            places = [_place_in_log(waiting.applied, log_range) for waiting in batch]
            missing = [seq for seq in places if seq is not None and seq < log_range.head]
            found = await changes.select_changes(transaction, min(missing)) if missing else []
            applied = {waiting.guard: seq or 0 for waiting, seq in zip(batch, places, strict=True)}
            await guards.renew_leases(transaction, applied, self._lease_ms)
        for guard, seq in applied.items():
            self._confirmations.confirm(guard, seq)
        last = None if log_range.newest is None else self._receipts.with_receipt(log_range.newest)
        sent = [self._receipts.with_receipt(change) for change in found]
        return [self._answer(seq, log_range, sent, last) for seq in places]

    def _answer(self, applied: int | None, log_range: LogRange, found: list[Change], last: Change | None) -> SyncAnswer:
        missing = [] if applied is None else [change for change in found if change.seq > applied]
        contiguous = is_contiguous(applied, log_range, missing)
        return SyncAnswer(
            head=log_range.head,
            lease_ms=self._lease_ms,
            resync=not contiguous,
            afresh=not contiguous,
            changes=missing if contiguous else [],
            issuer=self._issuer,
            last=last,
        )


class _WaitingSync(NamedTuple):
    """A sync that waits for its answer. Its request may have been cancelled meanwhile."""

    guard: GuardKey
    applied: int | None
    proven: list[AppliedChange]
    answer: "asyncio.Future[SyncAnswer]"

    def succeed(self, answer: SyncAnswer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


async def _find_evidence(
    transaction: Connection, batch: "Sequence[_WaitingSync]", log_range: LogRange
) -> Evidence | None:
    """Return why the log must have gone back, if a guard has applied a change that it lacks."""
    newest = log_range.newest
    proven = [(waiting.guard, change) for waiting in batch for change in waiting.proven]
    ids = {} if newest is None else {newest.seq: newest.id}
    older = [change.seq for _, change in proven if log_range.floor < change.seq < log_range.head]
    if older:
        ids |= await changes.select_change_ids(transaction, older)
    for guard, change in proven:
        if contradicts(change, log_range, ids):
            detail = "a guard has applied a change that the log lacks"
            return Evidence("guard", detail, change.seq, log_range.head, guard.client_id, guard.guard_id)
    for waiting in batch:
        if waiting.applied is not None and waiting.applied > log_range.head:
            _log.warning(
                "A guard reports a newer change than the log has, without a valid receipt; it starts again",
                applied=waiting.applied,
                head=log_range.head,
                **waiting.guard._asdict(),
            )
    return None


def _place_in_log(applied: int | None, log_range: LogRange) -> int | None:
    """Return the `seq` after which the guard needs changes; `None` if the log cannot supply them."""
    if applied is None or not max(log_range.floor, log_range.head - MAX_CHANGES_PER_SYNC) <= applied <= log_range.head:
        return None
    return applied
