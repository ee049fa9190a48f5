"""A ballot: what one participant of a poll has chosen, and what may be chosen when."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from msgspec import Struct

from services.polls.domain.poll import Poll, Violation

MAX_PARTICIPANT_LENGTH: Final = 255
MAX_NAME_LENGTH: Final = 255
MAX_COMMENT_LENGTH: Final = 2_000


class Choice(Struct, frozen=True):
    """What a participant votes for, as the calling integration says, which vouches for who that is."""

    option_ids: tuple[str, ...]
    name: str | None = None
    comment: str | None = None


class Ballot(Struct, frozen=True):
    """A choice as it is kept: without who and when in a poll that does not keep names.

    Without options it is withdrawn, where nobody may vote twice.
    """

    option_ids: tuple[str, ...]
    comment: str | None = None
    participant: str | None = None
    name: str | None = None
    cast_at: datetime | None = None

    @property
    def is_withdrawn(self) -> bool:
        """Whether it counts no more, but for keeping its participant from another."""
        return not self.option_ids


class UnknownBallot(LookupError):
    """The participant has no ballot in this poll."""


class PollClosed(Exception):
    """Nobody can vote in this poll any more, nor withdraw."""


class AlreadyVoted(Exception):
    """The participant has a ballot in a poll that allows one for good, or had one and has withdrawn it."""


class NamesNotKept(Exception):
    """The poll keeps no names, so its ballots cannot be told apart."""


class InvalidBallot(ValueError):
    """A choice breaks rules, all of which are in `violations`."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(violation.reason for violation in violations))
        self.violations = violations


def check_choice(choice: Choice, poll: Poll, kept: Ballot | None, now: datetime) -> None:
    """Raises `PollClosed`, `AlreadyVoted` or `InvalidBallot` unless the participant, whose ballot up to now is `kept`,
    may choose so.
    """
    require_open(poll, now)
    violations = [*_option_violations(choice, poll), *_text_violations(choice, poll)]
    if violations:
        raise InvalidBallot(violations)
    if kept is not None and not poll.draft.settings.allow_revote:
        raise AlreadyVoted


def require_open(poll: Poll, now: datetime) -> None:
    """Raises `PollClosed`."""
    if poll.is_closed(now):
        raise PollClosed


def ballot_of(choice: Choice, participant: str, poll: Poll) -> Ballot:
    """What is kept of a choice; the moment is the database's to say."""
    if not poll.draft.settings.save_participant_names:
        return Ballot(choice.option_ids, choice.comment)
    return Ballot(choice.option_ids, choice.comment, participant, choice.name)


def _option_violations(choice: Choice, poll: Poll) -> Iterator[Violation]:
    known = [option.id for option in poll.draft.options]
    if not choice.option_ids:
        yield Violation(("optionIds",), "choose an option; to take a ballot back, delete it")
    if len(choice.option_ids) > 1 and not poll.draft.settings.allow_selection_of_multiple_options:
        yield Violation(("optionIds",), f"this poll takes exactly one option, these are {len(choice.option_ids)}")
    uses = Counter(choice.option_ids)
    for index, option_id in enumerate(choice.option_ids[: len(known) + 1]):
        if option_id not in known:
            yield Violation(("optionIds", index), f"this poll has no such option; it has {_some(known)}")
        elif uses[option_id] > 1:
            yield Violation(("optionIds", index), "an option can be chosen once")


def _text_violations(choice: Choice, poll: Poll) -> Iterator[Violation]:
    if choice.comment is not None and not poll.draft.settings.allow_comment:
        yield Violation(("comment",), "this poll takes no comments; leave it out")
    for field, text, length in (
        ("name", choice.name, MAX_NAME_LENGTH),
        ("comment", choice.comment, MAX_COMMENT_LENGTH),
    ):
        if text is not None and (not 1 <= len(text) <= length or "\0" in text):
            yield Violation((field,), f"1 to {length} characters without NUL are wanted here")


def _some(option_ids: list[str], most: int = 10) -> str:
    told = ", ".join(f"'{option_id[:40]}'" for option_id in option_ids[:most])
    return f"{told} and {len(option_ids) - most} more" if len(option_ids) > most else told
