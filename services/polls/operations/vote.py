"""Cast, show and withdraw ballots.

A choice is validated against the poll as it was read, and the ballot is stored only if the poll was not edited since
then. Otherwise both steps are repeated.
"""

from typing import Final
from uuid import UUID

from services.polls.domain.ballot import (
    CastResult,
    Choice,
    Voter,
    ballot_of,
    require_open,
    require_valid_choice,
)
from services.polls.domain.errors import PollBusy, UnknownPoll
from services.polls.domain.participant import Participants
from services.polls.operations.authorization import require_action
from services.polls.operations.poll_semaphores import PollSemaphores
from services.polls.storage import ballots
from services.polls.storage.poll_reads import PollReads
from services.polls.tasks.poll_feed import PollFeed
from shared.contract.scope import Action
from shared.guard import Caller
from shared.runtime.postgres.database import Database

MAX_ATTEMPTS: Final = 5


class Votes:
    """Reads and changes ballots, and announces the changes. Create one instance per process."""

    def __init__(
        self,
        database: Database,
        reads: PollReads,
        participants: Participants,
        semaphores: PollSemaphores,
        feed: PollFeed,
    ) -> None:
        self._database = database
        self._reads = reads
        self._participants = participants
        self._semaphores = semaphores
        self._feed = feed

    async def load_voter(self, caller: Caller, poll_id: UUID, participant: str, *actions: Action) -> Voter:
        """Return the participant of a poll, if the caller may do all the actions there.

        Raise `UnknownPoll` or `InsufficientScope`.
        """
        voter = await self._select(caller.site, poll_id, participant)
        for action in actions:
            require_action(caller, voter.state.poll.place, action)
        return voter

    async def cast(self, caller: Caller, poll_id: UUID, participant: str, choice: Choice) -> CastResult:
        """Store the choice as the participant's ballot.

        Raise `UnknownPoll`, `InsufficientScope`, `PollClosed`, `InvalidBallot`, `AlreadyVoted` or `PollBusy`.
        """
        voter = await self.load_voter(caller, poll_id, participant, Action.VOTE)
        async with self._semaphores.of(poll_id):
            for _ in range(MAX_ATTEMPTS):
                poll = voter.state.poll
                require_valid_choice(choice, voter)
                ballot = ballot_of(choice, participant, poll)
                cast = await ballots.cast_ballot(self._database, poll, voter.participant_hash, ballot)
                if cast is not None:
                    break
                voter = await self._select(caller.site, poll_id, participant)
            else:
                raise PollBusy
        self._feed.announce(poll_id)
        return cast

    async def withdraw(self, caller: Caller, poll_id: UUID, participant: str) -> None:
        """Withdraw the participant's ballot.

        Raise `UnknownPoll`, `InsufficientScope`, `PollClosed`, `UnknownBallot` or `PollBusy`.
        """
        voter = await self.load_voter(caller, poll_id, participant, Action.VOTE)
        async with self._semaphores.of(poll_id):
            for _ in range(MAX_ATTEMPTS):
                require_open(voter.state)
                voter.require_ballot()
                if await ballots.withdraw_ballot(self._database, voter.state.poll, voter.participant_hash):
                    break
                voter = await self._select(caller.site, poll_id, participant)
            else:
                raise PollBusy
        self._feed.announce(poll_id)

    async def _select(self, site: str, poll_id: UUID, participant: str) -> Voter:
        hashes = self._participants.hashes(poll_id, participant)
        found = await self._reads.select_ballot(ballots.BallotKey(site, poll_id, tuple(hashes)))
        if found is None:
            raise UnknownPoll
        return Voter(participant, found.participant_hash or hashes[0], found.state, found.ballot)
