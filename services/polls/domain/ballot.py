"""A ballot: what one participant of a poll has chosen, and the rules for choosing."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from services.polls.domain.errors import (
    AlreadyVoted,
    InvalidBallot,
    LinkFull,
    PollClosed,
    UnknownBallot,
    Violation,
)
from services.polls.domain.link import Link
from services.polls.domain.participant import MAX_NAME_LENGTH
from services.polls.domain.poll import Poll
from services.polls.domain.state import PollState
from services.polls.domain.texts import TextCleaner

MAX_COMMENT_LENGTH: Final = 2_000
_MAX_NAMED_OPTIONS: Final = 10
_MAX_SHOWN_ID_LENGTH: Final = 40


class Choice(Struct, frozen=True):
    """What a participant votes for. The calling integration vouches for who the participant is."""

    option_ids: tuple[str, ...]
    name: str | None = None
    comment: str | None = None


def new_choice(option_ids: Sequence[str], name: str | None, comment: str | None) -> Choice:
    """Return a choice with its texts as they are stored. Raise `InvalidBallot` if a text is invalid."""
    cleaner = TextCleaner()
    choice = Choice(
        tuple(option_ids),
        None if name is None else cleaner.line(("name",), name, MAX_NAME_LENGTH),
        None if comment is None else cleaner.lines(("comment",), comment, MAX_COMMENT_LENGTH, least=1),
    )
    if cleaner.violations:
        raise InvalidBallot(cleaner.violations)
    return choice


class Ballot(Struct, frozen=True):
    """A stored choice. A poll that does not keep names stores neither participant, name nor time.

    A ballot without options has been withdrawn; it is kept only in a poll that allows one ballot.
    """

    option_ids: tuple[str, ...]
    comment: str | None = None
    participant: str | None = None
    name: str | None = None
    cast_at: datetime | None = None

    @property
    def is_withdrawn(self) -> bool:
        """Whether the ballot does not count, and only keeps its participant from voting again."""
        return not self.option_ids

    def to_shown(self) -> "Ballot":
        """Return the ballot as it may be read after it was cast.

        Its choice and comment are left out if it was stored without its participant, also if the poll has kept names
        since then.
        """
        return Ballot(()) if self.participant is None else self


class Comment(Struct, frozen=True):
    """A comment with the number of ballots that have it. `position` sorts comments by their texts alone."""

    text: str
    ballots: int
    position: int


class CastResult(Struct, frozen=True):
    """A ballot that was just cast. `is_first` is false if it replaced an earlier one."""

    ballot: Ballot
    is_first: bool


class Voter(Struct, frozen=True):
    """A participant in a poll. `stored` is the participant's ballot, which may be withdrawn.

    `participant_hash` is the key of that ballot, or of the one that may be cast. `link` is the one by which the
    participant votes; without one, an integration vouches for the participant.
    """

    participant: str
    participant_hash: bytes
    state: PollState
    stored: Ballot | None
    link: Link | None = None

    @property
    def has_voted(self) -> bool:
        """Whether the participant has a ballot that counts."""
        return self.stored is not None and not self.stored.is_withdrawn

    def require_ballot(self) -> Ballot:
        """Return the ballot that counts. Raise `UnknownBallot` if there is none."""
        if self.stored is None or self.stored.is_withdrawn:
            raise UnknownBallot
        return self.stored


def require_valid_choice(choice: Choice, voter: Voter) -> None:
    """Raise `PollClosed`, `InvalidBallot`, `AlreadyVoted` or `LinkFull` unless the voter may make this choice."""
    poll = voter.state.poll
    require_open(voter.state)
    violations = [
        *_option_violations(choice, poll),
        *_comment_violations(choice, poll),
        *_name_violations(choice, voter),
    ]
    if violations:
        raise InvalidBallot(violations)
    if voter.stored is not None and not poll.spec.settings.allow_revote:
        raise AlreadyVoted
    if voter.stored is None and voter.link is not None and voter.link.is_full:
        raise LinkFull


def require_open(state: PollState) -> None:
    """Raise `PollClosed` if the poll no longer takes votes."""
    if state.is_closed:
        raise PollClosed


def ballot_of(choice: Choice, participant: str, poll: Poll) -> Ballot:
    """Return what is stored of a choice. The database adds the time."""
    if not poll.spec.settings.save_participant_names:
        return Ballot(choice.option_ids, choice.comment)
    return Ballot(choice.option_ids, choice.comment, participant, choice.name)


def _option_violations(choice: Choice, poll: Poll) -> Iterator[Violation]:
    known = [option.id for option in poll.spec.options]
    if not choice.option_ids:
        yield Violation(("optionIds",), "choose an option; to withdraw a ballot, delete it")
    if len(choice.option_ids) > 1 and not poll.spec.settings.allow_selection_of_multiple_options:
        yield Violation(("optionIds",), f"this poll allows exactly one option per ballot, not {len(choice.option_ids)}")
    uses = Counter(choice.option_ids)
    for index, option_id in enumerate(choice.option_ids[: len(known) + 1]):
        if option_id not in known:
            yield Violation(("optionIds", index), f"this poll has no such option; it has {_list_some(known)}")
        elif uses[option_id] > 1:
            yield Violation(("optionIds", index), "an option can be chosen once")


def _comment_violations(choice: Choice, poll: Poll) -> Iterator[Violation]:
    if choice.comment is not None and not poll.spec.settings.allow_comment:
        yield Violation(("comment",), "this poll allows no comments; leave it out")


def _name_violations(choice: Choice, voter: Voter) -> Iterator[Violation]:
    """Yield a violation if a browser does not say whose it is, where the poll keeps names."""
    by_shared_link = voter.link is not None and voter.link.kind == "shared"
    if by_shared_link and choice.name is None and voter.state.poll.spec.settings.save_participant_names:
        yield Violation(("name",), "this poll keeps the names of its participants; give yours")


def _list_some(option_ids: list[str]) -> str:
    shown = ", ".join(f"'{option_id[:_MAX_SHOWN_ID_LENGTH]}'" for option_id in option_ids[:_MAX_NAMED_OPTIONS])
    rest = len(option_ids) - _MAX_NAMED_OPTIONS
    return f"{shown} and {rest} more" if rest > 0 else shown
