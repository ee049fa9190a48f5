"""Ballots, as they are cast and returned."""

from typing import Annotated

from msgspec import Meta, Struct

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
    """A ballot. `name` and `castAt` are null if it was stored without names.

    Such a ballot, once cast, is secret: when it is read, `optionIds` and `comment` are null too.
    """

    participant: Participant
    option_ids: OptionIds | None
    name: ParticipantName | None
    comment: Comment | None
    cast_at: Time | None

    @classmethod
    def of(cls, ballot: Ballot, participant: str) -> "BallotPayload":
        """Return the payload of a participant's ballot."""
        return cls(participant, list(ballot.option_ids) or None, ballot.name, ballot.comment, ballot.cast_at)


class CommentPayload(Struct, frozen=True):
    """A comment, and how many ballots have it."""

    comment: Comment
    ballots: Annotated[int, Meta(ge=1, examples=[1])]


class CommentPage(Struct, frozen=True):
    """A page of comments. `next` is the `cursor` of the following page, null on the last one."""

    items: list[CommentPayload]
    next: str | None


class BallotPage(Struct, frozen=True):
    """A page of ballots, by participant. `next` is the `cursor` of the following page, null on the last one."""

    items: list[BallotPayload]
    next: str | None
