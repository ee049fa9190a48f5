"""Cast, recast and withdraw a ballot: read, decided by the domain, and kept if nothing has changed since."""

from typing import Final
from uuid import UUID

from msgspec import Struct

from services.polls.domain.ballot import Ballot, Choice, UnknownBallot, ballot_of, check_choice, require_open
from services.polls.domain.participant import Participants
from services.polls.domain.poll import UnknownPoll
from services.polls.domain.state import PollState
from services.polls.operations.turns import PollSemaphores
from services.polls.storage import ballots
from services.polls.storage.ballots import Cast
from shared.runtime.postgres.database import Database

ATTEMPTS: Final = 5


class PollBusy(Exception):
    """The poll was edited between reading it and voting, time and again."""


class Voter(Struct, frozen=True):
    """One participant in one poll as they were read; `kept` is the ballot, if there is one, also a withdrawn one."""

    participant: str
    participant_hash: bytes
    state: PollState
    kept: Ballot | None

    @property
    def ballot(self) -> Ballot:
        """The ballot that counts. Raises `UnknownBallot`."""
        if self.kept is None or self.kept.is_withdrawn:
            raise UnknownBallot
        return self.kept

    @property
    def has_voted(self) -> bool:
        """Whether there is a ballot that counts."""
        return self.kept is not None and not self.kept.is_withdrawn


class Votes:
    """One a process."""

    def __init__(self, database: Database, participants: Participants, turns: PollSemaphores) -> None:
        self._database = database
        self._participants = participants
        self._turns = turns

    async def voter(self, site: str, poll_id: UUID, participant: str) -> Voter:
        """The participant in the poll. Raises `UnknownPoll`."""
        participant_hash = self._participants.hashed(poll_id, participant)
        found = await ballots.select_ballot(self._database, site, poll_id, participant_hash)
        if found is None:
            raise UnknownPoll
        return Voter(participant, participant_hash, *found)

    async def cast(self, site: str, voter: Voter, choice: Choice) -> Cast:
        """Keep the choice as the voter's ballot.

        Raises `PollClosed`, `AlreadyVoted`, `InvalidBallot`, `PollBusy`, or `UnknownPoll` where it is gone meanwhile.
        """
        async with self._turns.of(voter.state.poll.id):
            for _ in range(ATTEMPTS):
                poll = voter.state.poll
                check_choice(choice, poll, voter.kept, voter.state.at)
                ballot = ballot_of(choice, voter.participant, poll)
                cast = await ballots.cast_ballot(self._database, poll, voter.participant_hash, ballot)
                if cast is not None:
                    return cast
                voter = await self.voter(site, poll.id, voter.participant)
            raise PollBusy

    async def withdraw(self, site: str, voter: Voter) -> None:
        """Take the voter's ballot back.

        Raises `PollClosed`, `UnknownBallot`, `PollBusy`, or `UnknownPoll` where it is gone meanwhile.
        """
        async with self._turns.of(voter.state.poll.id):
            for _ in range(ATTEMPTS):
                poll = voter.state.poll
                require_open(poll, voter.state.at)
                _ = voter.ballot
                if await ballots.withdraw_ballot(self._database, poll, voter.participant_hash):
                    return
                voter = await self.voter(site, poll.id, voter.participant)
            raise PollBusy
