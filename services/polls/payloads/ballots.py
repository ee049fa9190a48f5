"""Ballots as they are cast and shown."""

from msgspec import Struct

from services.polls.domain.ballot import Ballot, Choice
from services.polls.payloads.texts import Comment, OptionIds, Participant, ParticipantName, Time


class CastBallot(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a participant chooses. A `name` is kept only where the poll keeps names."""

    option_ids: OptionIds
    name: ParticipantName | None = None
    comment: Comment | None = None

    def to_choice(self) -> Choice:
        """The domain's choice, not yet checked."""
        return Choice(tuple(self.option_ids), self.name, self.comment)


class BallotPayload(Struct, frozen=True, rename="camel"):
    """A ballot. `name` and `castAt` are null where the poll does not keep names."""

    participant: Participant
    option_ids: OptionIds
    name: ParticipantName | None
    comment: Comment | None
    cast_at: Time | None

    @classmethod
    def of(cls, ballot: Ballot, participant: str) -> "BallotPayload":
        """How the participant's ballot is shown."""
        return cls(participant, list(ballot.option_ids), ballot.name, ballot.comment, ballot.cast_at)


class BallotPage(Struct, frozen=True):
    """Some ballots, in the order of their participants' ids, and the `cursor` for those that follow."""

    items: list[BallotPayload]
    next: str | None
