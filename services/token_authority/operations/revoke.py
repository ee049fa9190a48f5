"""Revoke tokens: their rows and the change log's in one transaction, then word to the relay, then the wait.

The tokens' rows are locked before the log, and in the order of their ids, so that the log is held briefly and two
revocations of the same tokens cannot block each other.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final

import msgspec
from msgspec import Struct

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.audit import Entry
from services.token_authority.domain.errors import UnknownToken
from services.token_authority.domain.lease import Wait
from services.token_authority.domain.reason import Reason
from services.token_authority.domain.selection import Selection
from services.token_authority.operations.relay import ChangeRelay
from services.token_authority.storage import changes, guards, tokens
from services.token_authority.storage.audit import append_audit
from services.token_authority.storage.selections import select_matching
from shared.contract.token import ACCESS_TOKEN, digest, is_well_formed
from shared.runtime.postgres.database import Database

CHUNK: Final = 5000
BULK_LIMIT_S: Final = 30.0


class Revocation(Struct, frozen=True):
    """A revocation that is committed, with the wait until it is in force everywhere."""

    tokens: int
    """How many tokens this call has ended; 0 where an earlier one had."""
    revoked_at: datetime
    wait: Wait


class BulkRevocation(Struct, frozen=True):
    """What has become of a selection. Its revocation is in force no earlier than that of each token in it."""

    revoked: int
    already_revoked: int
    unmatched: list[str]
    """Ids that the selection names, of no token that meets it."""
    revocation: Revocation | None
    """`None` where no token meets the selection."""


class Revoker:
    """One a process. `clock` is the one that the confirmations count on."""

    def __init__(self, database: Database, relay: ChangeRelay, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._relay = relay
        self._clock = clock

    async def revoke(self, token_id: str, why: Reason, caller: AdminKey | None, by: Actor) -> Revocation:
        """End a token for good. Repeated, it answers the first revocation. Raises `UnknownToken`.

        `caller` is the administrator who does it, `None` for others. It does not depend on Redis: the relay publishes
        the change as soon as Redis takes it.
        """
        if caller is not None and not caller.sees_all:
            token = await tokens.select_token(self._database, token_id)
            if token is None or not caller.sees(token):
                raise UnknownToken(token_id)
        revocation = await self._end([token_id], why, by) or await self._earlier([token_id])
        if revocation is None:
            raise UnknownToken(token_id)
        return revocation

    async def revoke_selected(self, selection: Selection, why: Reason, by: Actor) -> BulkRevocation:
        """End every token of a selection in one transaction. Repeated, it answers the newest revocation of them."""
        chosen = await self._select(selection)
        revocation = await self._end(chosen, why, by) or await self._earlier(chosen)
        revoked = revocation.tokens if revocation else 0
        return BulkRevocation(revoked, len(chosen) - revoked, _unmatched(selection, chosen), revocation)

    async def preview(self, selection: Selection) -> BulkRevocation:
        """What `revoke_selected` would come to now, without ending anything."""
        chosen = await self._select(selection)
        alive = await self._select(msgspec.structs.replace(selection, alive=True))
        return BulkRevocation(len(alive), len(chosen) - len(alive), _unmatched(selection, chosen), None)

    async def revoke_presented(self, texts: Sequence[str], why: Reason, by: Actor) -> tuple[int, int]:
        """End the tokens of these secrets: how many now, and how many of the secrets are of any token.

        A secret that has ended, another having taken its place, does its token no harm.
        """
        digests = [digest(text) for text in texts if is_well_formed(text, ACCESS_TOKEN)]
        known = await tokens.select_ids_by_digests(self._database, digests, datetime.now(UTC))
        ids = {token_id for token_id, works in known if works}
        revocation = await self._end(list(ids), why, by) if ids else None
        return revocation.tokens if revocation else 0, len(known)

    async def _end(self, token_ids: Sequence[str], why: Reason, by: Actor) -> Revocation | None:
        async with self._database.transaction(BULK_LIMIT_S if len(token_ids) > 1 else None) as transaction:
            alive = []
            for chunk in _chunks(sorted(token_ids)):
                alive += await tokens.lock_alive(transaction, chunk)
            if not alive:
                return None
            for chunk in _chunks(alive):
                await append_audit(transaction, [_entry(token_id, why, by) for token_id in chunk])
            await changes.lock_log(transaction)
            ended = [await changes.append_revocations(transaction, chunk, by, why) for chunk in _chunks(alive)][-1]
            leases = await guards.select_leases(transaction)
        wait = Wait(ended.seq, leases, self._clock())
        self._relay.wake()
        return Revocation(len(alive), ended.revoked_at, wait)

    async def _earlier(self, token_ids: Sequence[str]) -> Revocation | None:
        ends = [await tokens.select_newest_end(self._database, chunk) for chunk in _chunks(token_ids)]
        newest = max((end for end in ends if end), key=attrgetter("seq"), default=None)
        if newest is None:
            return None
        leases = await guards.select_leases(self._database)
        return Revocation(0, newest.revoked_at, Wait(newest.seq, leases, self._clock()))

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


def _entry(token_id: str, why: Reason, by: Actor) -> Entry:
    return Entry(by, "token.revoke", f"token:{token_id}", after={"revoked_reason": why.kind, "revoked_text": why.text})


def _chunks(token_ids: Sequence[str]) -> list[list[str]]:
    return [list(token_ids[start : start + CHUNK]) for start in range(0, len(token_ids), CHUNK)]
