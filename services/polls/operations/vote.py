"""Cast, show and withdraw ballots: for an integration that vouches for a participant, or by a voting link.

A choice is validated against the poll as it was read, and the ballot is stored only if the poll was not edited since
then. Otherwise both steps are repeated. Ballots of one poll that arrive together share a transaction.
"""

from typing import Final, NamedTuple
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from services.polls.domain.ballot import (
    Ballot,
    CastResult,
    Choice,
    Voter,
    ballot_of,
    require_open,
    require_valid_choice,
)
from services.polls.domain.errors import LinkEnded, LinkFull, PollBusy, PollClosed, UnknownPoll
from services.polls.domain.participant import Participants
from services.polls.domain.voter_pass import VoterPass
from services.polls.operations.address_limits import AddressLimits
from services.polls.operations.authorization import require_action
from services.polls.operations.poll_semaphores import PollSemaphores
from services.polls.storage import ballots
from services.polls.storage.links import LinkVoterKey
from services.polls.storage.poll_reads import PollReads
from services.polls.tasks.poll_feed import PollFeed
from shared.contract.scope import Action
from shared.guard import Caller
from shared.runtime.postgres.batched_writes import BatchedWrites, write_each
from shared.runtime.postgres.database import Connection, Database

MAX_ATTEMPTS: Final = 5


class _Seat(Struct, frozen=True):
    """A participant of a poll. The poll is found in a site, or by a link."""

    poll_id: UUID
    participant: str
    site: str = ""
    link_id: UUID | None = None


class _Cast(NamedTuple):
    """A ballot to cast."""

    voter: Voter
    ballot: Ballot


class _Edited(Exception):
    """The poll is not as the participant has seen it."""


async def _write(connection: Connection, cast: _Cast) -> CastResult | None:
    return await ballots.cast_ballot(connection, cast.voter, cast.ballot)


class Votes:
    """Reads and changes ballots, and announces the changes. Create one instance per process."""

    def __init__(
        self,
        database: Database,
        reads: PollReads,
        participants: Participants,
        semaphores: PollSemaphores,
        feed: PollFeed,
        addresses: AddressLimits,
    ) -> None:
        self._database = database
        self._reads = reads
        self._participants = participants
        self._semaphores = semaphores
        self._feed = feed
        self._addresses = addresses
        self._casts: BatchedWrites[UUID, _Cast, CastResult | None] = BatchedWrites(write_each(database, _write))

    async def load_voter(self, caller: Caller, poll_id: UUID, participant: str, *actions: Action) -> Voter:
        """Return the participant of a poll, if the caller may do all the actions there.

        Raise `UnknownPoll` or `InsufficientScope`.
        """
        voter = await self._select(_Seat(poll_id, participant, caller.site))
        for action in actions:
            require_action(caller, voter.state.poll.place, action)
        return voter

    async def load_link_voter(self, voter_pass: VoterPass) -> Voter:
        """Return the participant who votes by a link. Raise `LinkEnded`."""
        return await self._select(_Seat(voter_pass.poll_id, voter_pass.participant, link_id=voter_pass.link_id))

    async def cast(self, caller: Caller, poll_id: UUID, participant: str, choice: Choice) -> CastResult:
        """Store the choice as the participant's ballot.

        Raise `UnknownPoll`, `InsufficientScope`, `PollClosed`, `InvalidBallot`, `AlreadyVoted` or `PollBusy`.
        """
        voter = await self.load_voter(caller, poll_id, participant, Action.VOTE)
        return await self._cast(_Seat(poll_id, participant, caller.site), voter, choice)

    async def cast_by_link(self, voter: Voter, choice: Choice, network: str) -> CastResult | None:
        """Store the choice as the ballot of a participant who votes by a link, from an address in `network`.

        `voter` has the poll as the participant has seen it. Return `None`, and store nothing, if it was edited since
        then. The name is that of a personal link; a shared one takes it from the choice. Raise `LinkEnded`,
        `PollClosed`, `InvalidBallot`, `AlreadyVoted`, `LinkFull`, `AddressLimitReached` or `PollBusy`.
        """
        if voter.link is not None and voter.link.kind == "personal":
            choice = replace(choice, name=voter.link.name)
        require_valid_choice(choice, voter)
        await self._addresses.admit(voter, network)
        try:
            return await self._cast(_seat_by_link(voter), voter, choice, seen=voter.state.poll.version)
        except _Edited:
            await self._addresses.release(voter, network)
            return None
        except (LinkEnded, LinkFull, PollClosed):
            await self._addresses.release(voter, network)
            raise

    async def withdraw(self, caller: Caller, poll_id: UUID, participant: str) -> None:
        """Withdraw the participant's ballot.

        Raise `UnknownPoll`, `InsufficientScope`, `PollClosed`, `UnknownBallot` or `PollBusy`.
        """
        voter = await self.load_voter(caller, poll_id, participant, Action.VOTE)
        await self._withdraw(_Seat(poll_id, participant, caller.site), voter)

    async def withdraw_by_link(self, voter: Voter) -> None:
        """Withdraw the ballot of a participant who votes by a link.

        Raise `LinkEnded`, `PollClosed`, `UnknownBallot` or `PollBusy`.
        """
        await self._withdraw(_seat_by_link(voter), voter)

    async def _cast(self, seat: _Seat, voter: Voter, choice: Choice, seen: int | None = None) -> CastResult:
        """Store the choice. Raise `_Edited` if the poll is no longer at the version `seen`, if one is given."""
        for _ in range(MAX_ATTEMPTS):
            if seen not in (None, voter.state.poll.version):
                raise _Edited
            require_valid_choice(choice, voter)
            ballot = ballot_of(choice, seat.participant, voter.state.poll)
            cast = await self._casts.put(seat.poll_id, _Cast(voter, ballot))
            if cast is not None:
                self._feed.announce(seat.poll_id)
                return cast
            voter = await self._select(seat)
        raise PollBusy

    async def _withdraw(self, seat: _Seat, voter: Voter) -> None:
        async with self._semaphores.of(seat.poll_id):
            for _ in range(MAX_ATTEMPTS):
                require_open(voter.state)
                voter.require_ballot()
                if await ballots.withdraw_ballot(self._database, voter):
                    break
                voter = await self._select(seat)
            else:
                raise PollBusy
        self._feed.announce(seat.poll_id)

    async def _select(self, seat: _Seat) -> Voter:
        hashes = tuple(self._participants.hashes(seat.poll_id, seat.participant))
        if seat.link_id is None:
            found, link = await self._reads.select_ballot(ballots.BallotKey(seat.site, seat.poll_id, hashes)), None
            if found is None:
                raise UnknownPoll
        else:
            by_link = await self._reads.select_link_voter(LinkVoterKey(seat.link_id, seat.poll_id, hashes))
            if by_link is None:
                raise LinkEnded
            found, link = by_link.found, by_link.link
        return Voter(seat.participant, found.participant_hash or hashes[0], found.state, found.ballot, link)


def _seat_by_link(voter: Voter) -> _Seat:
    return _Seat(voter.state.poll.id, voter.participant, link_id=None if voter.link is None else voter.link.id)
