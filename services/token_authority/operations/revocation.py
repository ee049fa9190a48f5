"""Revoke tokens: update them and append to the change log in one transaction, then push the changes.

Single revocations that arrive together share a transaction: each waits for two locks and for syncs, reads all leases,
and waits for a commit to disk.

The tokens are locked before the log, in the order of their ids. So the log is locked briefly, and two revocations of
the same tokens cannot deadlock.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

import msgspec

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.administrator import Administrator
from services.token_authority.domain.audit import AuditEntry
from services.token_authority.domain.errors import UnknownToken
from services.token_authority.domain.lease import PendingChange
from services.token_authority.domain.reason import Reason
from services.token_authority.domain.revocation import BulkRevocation, Revocation
from services.token_authority.domain.selection import Selection
from services.token_authority.storage import changes, guards, tokens
from services.token_authority.storage.audit import audited_transaction, note_change
from services.token_authority.storage.selections import select_matching
from services.token_authority.tasks.relay import ChangeRelay
from services.token_authority.tasks.restoration import RestorationWatch
from shared.contract.token import ACCESS_TOKEN, digest, is_well_formed
from shared.runtime.postgres.batched_writes import BatchedWrites, Write
from shared.runtime.postgres.database import Database

CHUNK: Final = 500
"""Tokens per statement: few enough for the time limit of a statement, on a busy database too."""
BULK_LIMIT_S: Final = 30.0


class _Request(NamedTuple):
    """One token to revoke."""

    token_id: str
    why: Reason
    by: Actor


_Waiting: TypeAlias = Write[_Request, Revocation | None]


class Revoker:
    """Revokes tokens. Create one instance per process. `clock` is the one that the confirmations use.

    Revoking does not depend on Redis: the relay publishes the change when Redis is available.
    """

    def __init__(
        self, database: Database, relay: ChangeRelay, watch: RestorationWatch, *, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._relay = relay
        self._watch = watch
        self._clock = clock
        self._together: BatchedWrites[None, _Request, Revocation | None] = BatchedWrites(self._carry_out)

    async def revoke(self, token_id: str, why: Reason, by: Administrator) -> Revocation:
        """Revoke a token as an administrator. Return the earlier revocation if there is one. Raise `UnknownToken`."""
        if not by.rights.sees_all:
            token = await tokens.select_token(self._database, token_id)
            if token is None or not by.rights.sees(token):
                raise UnknownToken(token_id)
        return await self.revoke_held(token_id, why, by.actor)

    async def revoke_held(self, token_id: str, why: Reason, by: Actor) -> Revocation:
        """Revoke a token whose secret `by` holds. Return the earlier revocation if there is one.

        Raise `UnknownToken`.
        """
        try:
            revoked = await self._together.put(None, _Request(token_id, why, by))
        finally:
            note_change()  # by the transaction of another task
        revocation = revoked or await self._find_revocation([token_id])
        if revocation is None:
            raise UnknownToken(token_id)
        return revocation

    async def find_revocation(self, token_id: str) -> Revocation | None:
        """Return the revocation of a token, which may still be pending; `None` if the token is not revoked."""
        return await self._find_revocation([token_id])

    async def revoke_selected(self, selection: Selection, why: Reason, by: Actor) -> BulkRevocation:
        """Revoke every token of a selection in one transaction. A repetition returns their latest revocation."""
        chosen = await self._select(selection)
        revocation = await self._revoke(chosen, why, by) or await self._find_revocation(chosen)
        revoked = revocation.tokens if revocation else 0
        return BulkRevocation(revoked, len(chosen) - revoked, _unmatched(selection, chosen), revocation)

    async def preview(self, selection: Selection) -> BulkRevocation:
        """Return what `revoke_selected` would return now, without revoking anything."""
        chosen = await self._select(selection)
        alive = await self._select(msgspec.structs.replace(selection, revocable=True))
        return BulkRevocation(len(alive), len(chosen) - len(alive), _unmatched(selection, chosen), None)

    async def revoke_presented(self, texts: Sequence[str], why: Reason, by: Actor) -> tuple[int, int]:
        """Revoke the tokens with these secrets. Return how many were revoked, and how many secrets are known.

        A secret that a rotation has ended does not revoke its token.
        """
        digests = [digest(text) for text in texts if is_well_formed(text, ACCESS_TOKEN)]
        found = await tokens.select_ids_by_digests(self._database, digests, datetime.now(UTC))
        ids = {token_id for token_id, works in found if works}
        revocation = await self._revoke(list(ids), why, by) if ids else None
        return revocation.tokens if revocation else 0, len(found)

    async def _carry_out(self, batch: "Sequence[_Waiting]") -> "list[tuple[_Waiting, Revocation | None]]":
        """Revoke the tokens of single requests together. The first request for a token revokes it."""
        first = {each.value.token_id: each.value for each in reversed(batch)}
        revoked = await self._revoke_together(list(reversed(first.values())))
        return [(each, revoked.pop(each.value.token_id, None)) for each in batch]

    async def _revoke_together(self, requests: "Sequence[_Request]") -> dict[str, Revocation]:
        """Revoke each of these tokens that works, in one transaction. Each has its own place in the change log."""
        async with audited_transaction(self._database) as transaction:
            alive = {*await tokens.lock_alive(transaction, sorted(each.token_id for each in requests))}
            chosen = [each for each in requests if each.token_id in alive]
            if not chosen:
                transaction.declare_unchanged()
                return {}
            await transaction.record(*(_entry(*each) for each in chosen))
            await changes.lock_log(transaction)
            expected = self._watch.newest
            revoked = {
                each.token_id: await changes.append_revocations(transaction, [each.token_id], each.by, each.why)
                for each in chosen
            }
            await self._watch.require_appended(revoked[chosen[0].token_id].changes, expected)
            leases = (await guards.select_leases(transaction)).leases
        self._relay.push([change for each in revoked.values() for change in each.changes])
        committed_at = self._clock()
        return {
            token_id: Revocation(1, each.revoked_at, PendingChange(each.seq, leases, committed_at, each.changes[-1].id))
            for token_id, each in revoked.items()
        }

    async def _revoke(self, token_ids: Sequence[str], why: Reason, by: Actor) -> Revocation | None:
        limit_s = BULK_LIMIT_S if len(token_ids) > 1 else None
        async with audited_transaction(self._database, limit_s) as transaction:
            if limit_s is not None:
                await transaction.limit_statements(limit_s)
            alive = []
            for chunk in _chunks(sorted(token_ids)):
                alive += await tokens.lock_alive(transaction, chunk)
            if not alive:
                transaction.declare_unchanged()
                return None
            for chunk in _chunks(alive):
                await transaction.record(*(_entry(token_id, why, by) for token_id in chunk))
            await changes.lock_log(transaction)
            expected = self._watch.newest
            revoked = [await changes.append_revocations(transaction, chunk, by, why) for chunk in _chunks(alive)]
            await self._watch.require_appended(revoked[0].changes, expected)
            leases = (await guards.select_leases(transaction)).leases
        self._relay.push([change for each in revoked for change in each.changes])
        last = revoked[-1]
        pending = PendingChange(last.seq, leases, self._clock(), last.changes[-1].id)
        return Revocation(len(alive), last.revoked_at, pending)

    async def _find_revocation(self, token_ids: Sequence[str]) -> Revocation | None:
        expected = self._watch.newest
        found = [await tokens.select_latest_revocation(self._database, chunk) for chunk in _chunks(token_ids)]
        latest = max((revoked for revoked in found if revoked), key=attrgetter("seq"), default=None)
        if latest is None:
            return None
        leases, head = await guards.select_leases(self._database)
        await self._watch.require_current(head, expected)
        return Revocation(0, latest.revoked_at, PendingChange(latest.seq, leases, self._clock()))

    async def _select(self, selection: Selection) -> list[str]:
        chosen: list[str] = []
        now = datetime.now(UTC)
        while True:
            after = chosen[-1] if chosen else ""
            page = await select_matching(self._database, selection, after, CHUNK, now)
            chosen += page
            if len(page) < CHUNK:
                return chosen


def _unmatched(selection: Selection, chosen: Sequence[str]) -> list[str]:
    return sorted({*(selection.ids or ())} - {*chosen})


def _entry(token_id: str, why: Reason, by: Actor) -> AuditEntry:
    after = {"revoked_reason": why.kind, "revoked_text": why.text}
    return AuditEntry(by, "token.revoke", f"token:{token_id}", after=after)


def _chunks(token_ids: Sequence[str]) -> list[list[str]]:
    return [list(token_ids[start : start + CHUNK]) for start in range(0, len(token_ids), CHUNK)]
