"""Remove tokens a configured number of days after they were revoked or expired. The audit log keeps their history."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from services.token_authority.domain.actor import POLICY
from services.token_authority.domain.audit import AuditEntry, audit_fields
from services.token_authority.domain.errors import Restored
from services.token_authority.domain.token import Token
from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.storage import ended_tokens
from services.token_authority.storage.audit import audited_transaction
from shared.runtime.postgres.database import Database, DatabaseUnavailable

INTERVAL_S: Final = 3600.0
BATCH: Final = 100
"""Tokens removed per transaction."""
_RECORDED: Final = ("name", "owner", "site_id", "scopes", "hint", "expires_at", "revoked_at", "revoked_by")

_log = structlog.get_logger()


class EndedTokens:
    """Removes ended tokens. Create one instance per process and supervise its `run()`.

    A lock lets one process do this at a time. 0 days removes no token.
    """

    def __init__(
        self, database: Database, metrics: AuthorityMetrics, *, days: int, interval_s: float = INTERVAL_S
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._days = days
        self._interval_s = interval_s

    async def run(self) -> None:
        """Remove ended tokens at an interval until cancelled."""
        while True:
            if self._days:
                with contextlib.suppress(DatabaseUnavailable, Restored):
                    await self.purge(datetime.now(UTC))
            await asyncio.sleep(self._interval_s)

    async def purge(self, now: datetime) -> int:
        """Remove every token that has ended long enough before `now`. Return how many."""
        purged = 0
        while batch := await self._purge_batch(now - timedelta(days=self._days)):
            purged += batch
            self._metrics.purged.inc(batch)
        if purged:
            _log.info("ended tokens removed", tokens=purged, days=self._days)
        return purged

    async def _purge_batch(self, before: datetime) -> int:
        async with audited_transaction(self._database) as transaction:
            if not await ended_tokens.try_lock_purge(transaction):
                transaction.declare_unchanged()
                return 0
            ended = await ended_tokens.lock_ended(transaction, before, BATCH)
            if not ended:
                transaction.declare_unchanged()
                return 0
            await ended_tokens.delete_tokens(transaction, [token.id for token in ended])
            await transaction.record(*map(_entry, ended))
        return len(ended)


def _entry(token: Token) -> AuditEntry:
    return AuditEntry(POLICY, "token.purge", f"token:{token.id}", audit_fields(token, _RECORDED))
