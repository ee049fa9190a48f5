"""Limit how many participants vote by a shared link from one address, so that deleting a cookie helps little.

Redis has the counts, under keyed hashes of addresses. PostgreSQL does not: a row that is written with a ballot would
show from which address the ballot came.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from services.polls.domain.ballot import Voter
from services.polls.domain.errors import AddressLimitReached
from services.polls.domain.participant import Participants
from shared.runtime.redis.key_counts import KeyCounts

VOTERS_PREFIX: Final = "pollgate:voters"
"""The prefix, up to a colon, of all keys in Redis under which voters are counted."""
COUNT_LIFE_S: Final = 90 * 24 * 3600


class Counted:
    """One participant who was counted for an address. `is_kept` says whether the count stays."""

    is_kept = False


class AddressLimits:
    """Counts the participants of shared links by address. Create one instance per process."""

    def __init__(self, counts: KeyCounts, participants: Participants) -> None:
        self._counts = counts
        self._participants = participants

    @asynccontextmanager
    async def count(self, voter: Voter, network: str) -> AsyncGenerator[Counted, None]:
        """Count a participant without a ballot while the block runs, and after it if `is_kept` is set.

        Raise `AddressLimitReached`. A personal link has no such limit.
        """
        counted, link = Counted(), voter.link
        if link is None or link.max_per_address is None or voter.stored is not None:
            yield counted
            return
        key = self._participants.address_hash(link.id, network).hex()
        if not await self._counts.add(key, link.max_per_address):
            raise AddressLimitReached
        try:
            yield counted
        finally:
            if not counted.is_kept:
                await self._counts.remove(key)
