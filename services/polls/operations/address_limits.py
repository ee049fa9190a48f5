"""Limit how many participants vote by a shared link from one address, so that deleting a cookie helps little.

Redis has the participants of each address, all as keyed hashes that differ from those of ballots. PostgreSQL does not
have them: a row that is written with a ballot would show from which address the ballot came.
"""

from typing import Final, NamedTuple

from services.polls.domain.ballot import Voter
from services.polls.domain.errors import AddressLimitReached
from services.polls.domain.participant import Participants
from shared.runtime.redis.limited_sets import LimitedSets

VOTERS_PREFIX: Final = "pollgate:voters"
"""The prefix, up to a colon, of all keys in Redis under which the voters of shared links are kept."""
VOTERS_LIFE_S: Final = 90 * 24 * 3600


class _Place(NamedTuple):
    """The set of an address in Redis, the participant's member of it, and the most members."""

    key: str
    member: bytes
    limit: int


class AddressLimits:
    """Knows the participants of shared links by address. Create one instance per process."""

    def __init__(self, voters: LimitedSets, participants: Participants) -> None:
        self._voters = voters
        self._participants = participants

    async def admit(self, voter: Voter, network: str) -> None:
        """Note a participant without a ballot. Raise `AddressLimitReached` if too many others have voted from there.

        A participant takes one place at an address, also after withdrawing. A personal link has no such limit.
        """
        place = self._find_place(voter, network)
        if place is not None and not await self._voters.add(place.key, place.member, place.limit):
            raise AddressLimitReached

    async def release(self, voter: Voter, network: str) -> None:
        """Forget a participant who was admitted and has not voted."""
        place = self._find_place(voter, network)
        if place is not None:
            await self._voters.remove(place.key, place.member)

    def _find_place(self, voter: Voter, network: str) -> _Place | None:
        link = voter.link
        if link is None or link.max_per_address is None or voter.stored is not None:
            return None
        key, member = self._participants.address_hashes(link.id, network, voter.participant)
        return _Place(key.hex(), member, link.max_per_address)
