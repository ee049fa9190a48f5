"""Revoke tokens: their rows and the change log's in one transaction, then word to the relay, then the wait.

The tokens' rows are locked before the log, and in the order of their ids, so that the log is held briefly and two
revocations of the same tokens cannot block each other.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final

from msgspec import Struct

from services.token_authority.domain.errors import UnknownToken
from services.token_authority.domain.lease import Wait
from services.token_authority.domain.selection import Selection
from services.token_authority.operations.confirmations import Confirmations, Effect
from services.token_authority.operations.relay import ChangeRelay
from services.token_authority.storage import changes, guards, tokens
from shared.runtime.postgres import Database

CHUNK: Final = 5000
PAGE: Final = 500
"""Tokens whose scopes are read and compared at a time, in which nothing else is done."""
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

    def __init__(
        self, database: Database, relay: ChangeRelay, confirmations: Confirmations, *, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._relay = relay
        self._confirmations = confirmations
        self._clock = clock

    async def revoke(self, token_id: str) -> Revocation:
        """End a token for good. Repeated, it answers the first revocation. Raises `UnknownToken`.

        It does not depend on Redis: the relay publishes the change as soon as Redis takes it.
        """
        revocation = await self._end([token_id]) or await self._earlier([token_id])
        if revocation is None:
            raise UnknownToken(token_id)
        return revocation

    async def revoke_selected(self, selection: Selection) -> BulkRevocation:
        """End every token of a selection in one transaction. Repeated, it answers the newest revocation of them."""
        chosen = await self._select(selection)
        revocation = await self._end(chosen) or await self._earlier(chosen)
        revoked = revocation.tokens if revocation else 0
        unmatched = sorted({*(selection.ids or ())} - {*chosen})
        return BulkRevocation(revoked, len(chosen) - revoked, unmatched, revocation)

    async def effect(self, revocation: Revocation) -> Effect:
        """Wait until it is in force everywhere. To be cancelled here changes nothing about the revocation."""
        return await self._confirmations.wait(revocation.wait)

    def left_s(self, revocation: Revocation) -> float:
        """In how many seconds it is in force everywhere, if nobody confirms."""
        return max(0.0, revocation.wait.deadline - self._clock())

    async def _end(self, token_ids: Sequence[str]) -> Revocation | None:
        async with self._database.transaction(BULK_LIMIT_S if len(token_ids) > 1 else None) as transaction:
            alive = []
            for chunk in _chunks(sorted(token_ids)):
                alive += await tokens.lock_alive(transaction, chunk)
            if not alive:
                return None
            await changes.lock_log(transaction)
            ended = [await changes.append_revocations(transaction, chunk) for chunk in _chunks(alive)][-1]
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
        """Scopes are compared here, not in SQL: the grammar has one home."""
        chosen: list[str] = []
        after = ""
        while True:
            page = await tokens.select_matching(self._database, selection, after, PAGE)
            chosen += [token_id for token_id, scopes in page if selection.takes(scopes)]
            if len(page) < PAGE:
                return chosen
            after = page[-1][0]


def _chunks(token_ids: Sequence[str]) -> list[list[str]]:
    return [list(token_ids[start : start + CHUNK]) for start in range(0, len(token_ids), CHUNK)]
