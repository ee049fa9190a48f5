"""Disable tokens that were not used for a configured number of days, as an administrator would.

A token that was never used counts from its creation, one that was enabled again from then.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from services.token_authority.domain.actor import POLICY
from services.token_authority.domain.audit import AuditEntry
from services.token_authority.domain.errors import Restored
from services.token_authority.storage import changes, unused_tokens
from services.token_authority.storage.audit import audited_transaction
from services.token_authority.tasks.relay import ChangeRelay
from shared.runtime.postgres.database import Database, DatabaseUnavailable

INTERVAL_S: Final = 300.0
BATCH: Final = 100
"""Tokens disabled per transaction, which locks the change log."""

_log = structlog.get_logger()


class UnusedTokens:
    """Disables unused tokens. Create one instance per process and supervise its `run()`.

    A lock lets one process do this at a time. 0 days disables no token.
    """

    def __init__(self, database: Database, relay: ChangeRelay, *, days: int, interval_s: float = INTERVAL_S) -> None:
        self._database = database
        self._relay = relay
        self._days = days
        self._interval_s = interval_s

    async def run(self) -> None:
        """Disable unused tokens at an interval until cancelled."""
        while True:
            if self._days:
                with contextlib.suppress(DatabaseUnavailable, Restored):
                    await self.disable(datetime.now(UTC))
            await asyncio.sleep(self._interval_s)

    async def disable(self, now: datetime) -> int:
        """Disable every token that is unused at `now`. Return how many."""
        disabled = 0
        while batch := await self._disable_batch(now):
            disabled += batch
        if disabled:
            _log.info("unused tokens disabled", tokens=disabled, days=self._days)
        return disabled

    async def _disable_batch(self, now: datetime) -> int:
        async with audited_transaction(self._database) as transaction:
            if not await unused_tokens.try_lock_policy(transaction):
                transaction.declare_unchanged()
                return 0
            unused = await unused_tokens.lock_unused(transaction, now - timedelta(days=self._days), now, BATCH)
            if not unused:
                transaction.declare_unchanged()
                return 0
            reason = f"unused for {self._days} {'day' if self._days == 1 else 'days'}"
            after = {"disabled_at": now.isoformat(), "disabled_by": str(POLICY), "disabled_reason": reason}
            before = dict.fromkeys(after)
            await unused_tokens.disable_tokens(transaction, unused, now, POLICY, reason)
            await transaction.record(
                *(AuditEntry(POLICY, "token.disable", f"token:{token_id}", before, after) for token_id in unused)
            )
            await changes.lock_log(transaction)
            await changes.append_disablings(transaction, unused)
        self._relay.wake()
        return len(unused)
