"""The operator's policy: a token that nobody has used for so many days is disabled, as an administrator would do it.

A token that was never used counts from when it was made, and one that was enabled again from then.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from services.token_authority.domain.actor import POLICY
from services.token_authority.domain.audit import Entry
from services.token_authority.operations.relay import ChangeRelay
from services.token_authority.storage import changes, policy
from services.token_authority.storage.audit import append_audit
from shared.runtime.postgres.database import Database, DatabaseUnavailable

EVERY_S: Final = 300.0
BATCH: Final = 100
"""Tokens disabled in one transaction, which holds the change log."""

_log = structlog.get_logger()


class UnusedTokens:
    """One a process; of several one at a time disables tokens. `days` is 0 where none are to be."""

    def __init__(self, database: Database, relay: ChangeRelay, *, days: int, every_s: float = EVERY_S) -> None:
        self._database = database
        self._relay = relay
        self._days = days
        self._every_s = every_s

    async def run(self) -> None:
        """Disable until cancelled."""
        while True:
            if self._days:
                with contextlib.suppress(DatabaseUnavailable):
                    await self.disable(datetime.now(UTC))
            await asyncio.sleep(self._every_s)

    async def disable(self, now: datetime) -> int:
        """Disable every token that is unused at `now`; how many."""
        disabled = 0
        while batch := await self._disable_batch(now):
            disabled += batch
        if disabled:
            _log.info("unused tokens were disabled", tokens=disabled, days=self._days)
        return disabled

    async def _disable_batch(self, now: datetime) -> int:
        async with self._database.transaction() as transaction:
            if not await policy.try_lock_policy(transaction):
                return 0
            unused = await policy.lock_unused(transaction, now - timedelta(days=self._days), now, BATCH)
            if not unused:
                return 0
            reason = f"unused for {self._days} {'day' if self._days == 1 else 'days'}"
            after = {"disabled_at": now.isoformat(), "disabled_by": str(POLICY), "disabled_reason": reason}
            before = dict.fromkeys(after)
            await policy.disable_tokens(transaction, unused, now, POLICY, reason)
            entries = [Entry(POLICY, "token.disable", f"token:{token_id}", before, after) for token_id in unused]
            await append_audit(transaction, entries)
            await changes.lock_log(transaction)
            await changes.append_disablings(transaction, unused)
        self._relay.wake()
        return len(unused)
