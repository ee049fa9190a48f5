"""Ballots, as they are cast and returned."""

from msgspec import Struct

from services.polls.domain.ballot import Ballot, Choice, new_choice
from services.polls.payloads.fields import Comment, OptionIds, Participant, ParticipantName, Time


class CastBallot(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The choice of a participant. The `name` is stored only if the poll keeps names."""

    option_ids: OptionIds
    name: ParticipantName | None = None
    comment: Comment | None = None

    def to_choice(self) -> Choice:
        """Return the choice, not yet validated against the poll. Raise `InvalidBallot` if a text is invalid."""
        return new_choice(self.option_ids, self.name, self.comment)


class BallotPayload(Struct, frozen=True, rename="camel"):
    """A ballot. `name` and `castAt` are null if the poll does not keep names."""

    participant: Participant
    option_ids: OptionIds
    name: ParticipantName | None
    comment: Comment | None
    cast_at: Time | None

    @classmethod
    def of(cls, ballot: Ballot, participant: str) -> "BallotPayload":
        """Return the payload of a participant's ballot."""
        return cls(participant, list(ballot.option_ids), ballot.name, ballot.comment, ballot.cast_at)


class BallotPage(Struct, frozen=True):
    """A page of ballots, by participant. `next` is the `cursor` of the following page, null on the last one."""

    items: list[BallotPayload]
    next: str | None
