"""A poll: a question, its options and its settings, and the rules for them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from services.polls.domain.consequence import Consequence
from services.polls.domain.end_date import format_end_date, read_end_date, stored_end_date
from services.polls.domain.errors import InvalidPoll, Violation
from services.polls.domain.texts import TextCleaner, find_same
from shared.contract.scope import Place
from shared.runtime.text.characters import comparable
from shared.runtime.text.times import InvalidTime

MAX_TITLE_LENGTH: Final = 255
MAX_DESCRIPTION_LENGTH: Final = 10_000
MAX_OPTIONS: Final = 100
MAX_ORDER: Final = 2**31 - 1
MAX_POLL_BYTES: Final = 64 * 1024
"""The limit of all texts of a poll together, in bytes of UTF-8."""

Status = Literal["open", "closed"]
ResultsVisibility = Literal["alwaysPublic", "afterVote", "afterClose", "never"]


class Option(Struct, frozen=True):
    """An option to vote for. `id` is chosen by the client and unique in the poll; options are shown by `order`."""

    id: str
    title: str
    order: int


class Settings(Struct, frozen=True):
    """The settings of a poll. `end_date` is empty, an RFC 3339 date (its last moment in UTC) or date-time."""

    allow_selection_of_multiple_options: bool = False
    results_visibility: ResultsVisibility = "alwaysPublic"
    end_date: str = ""
    hide_absolute_numbers: bool = False
    allow_revote: bool = False
    save_participant_names: bool = False
    close_poll_on_end_date: bool = False
    allow_comment: bool = False


class PollSpec(Struct, frozen=True):
    """The part of a poll that a client writes."""

    title: str
    options: tuple[Option, ...]
    description: str = ""
    settings: Settings = Settings()


class Poll(Struct, frozen=True):
    """A stored poll. `version` grows with each edit; a poll never moves to another place.

    `changed_after_votes` has the time of the last edit with each consequence for ballots that were there.
    """

    id: UUID
    place: Place
    spec: PollSpec
    version: int
    created_at: datetime
    updated_at: datetime
    changed_after_votes: Mapping[Consequence, datetime] = {}


def validate(spec: PollSpec, stored: PollSpec | None = None) -> PollSpec:
    """Return the spec as it is to be stored, if it is valid. Raise `InvalidPoll` with every violation.

    The rules for texts and for equal titles do not apply to what the `stored` spec of the poll has already, so that a
    poll from before a rule can be edited in other respects.
    """
    _require_few_options(spec.options)
    cleaner = TextCleaner() if stored is None else TextCleaner(_titles(stored), {stored.description})
    spec = _clean(spec, cleaner)
    violations = [
        *cleaner.violations,
        *_option_violations(spec.options, () if stored is None else stored.options),
        *_settings_violations(spec.settings),
        *_size_violations(spec),
    ]
    if violations:
        raise InvalidPoll(violations)
    return spec


def in_order(options: Sequence[Option]) -> list[Option]:
    """Return the options by their `order`; those with an equal one as they were listed."""
    return sorted(options, key=lambda option: option.order)


def closing_time(settings: Settings) -> datetime | None:
    """Return the time when a poll with these valid settings closes, or `None` if it never closes."""
    return read_end_date(settings.end_date) if settings.close_poll_on_end_date else None


def close_at(spec: PollSpec, now: datetime) -> PollSpec:
    """Return the spec with an end date that closes the poll at `now`, or unchanged if it has closed before."""
    end = closing_time(spec.settings)
    if end is not None and end <= now:
        return spec
    return replace(spec, settings=replace(spec.settings, end_date=format_end_date(now), close_poll_on_end_date=True))


def _titles(spec: PollSpec) -> set[str]:
    return {spec.title, *(option.title for option in spec.options)}


def _clean(spec: PollSpec, cleaner: TextCleaner) -> PollSpec:
    """Return the spec with its texts and end date as they are stored."""
    options = tuple(
        replace(option, title=cleaner.line(("options", index, "title"), option.title, MAX_TITLE_LENGTH))
        for index, option in enumerate(spec.options)
    )
    return replace(
        spec,
        title=cleaner.line(("title",), spec.title, MAX_TITLE_LENGTH),
        description=cleaner.lines(("description",), spec.description, MAX_DESCRIPTION_LENGTH),
        options=options,
        settings=replace(spec.settings, end_date=stored_end_date(spec.settings.end_date)),
    )


def _require_few_options(options: Sequence[Option]) -> None:
    """Raise `InvalidPoll` for too many options, before the text of each is read."""
    if len(options) > MAX_OPTIONS:
        raise InvalidPoll([_wrong_number(options)])


def _wrong_number(options: Sequence[Option]) -> Violation:
    return Violation(("options",), f"a poll has 1 to {MAX_OPTIONS} options, this one has {len(options)}")


def _option_violations(options: tuple[Option, ...], stored: tuple[Option, ...]) -> Iterator[Violation]:
    if not options:
        yield _wrong_number(options)
    uses = Counter(option.id for option in options)
    for index, option in enumerate(options):
        if uses[option.id] > 1:
            yield Violation(("options", index, "id"), "another option has the same id; ids are unique in a poll")
        if abs(option.order) > MAX_ORDER:
            yield Violation(("options", index, "order"), f"an order is a number from -{MAX_ORDER} to {MAX_ORDER}")
        if not 1 <= len(option.id) <= MAX_TITLE_LENGTH or "\0" in option.id:
            yield Violation(("options", index, "id"), f"expected 1 to {MAX_TITLE_LENGTH} characters, none of them NUL")
    yield from _equal_titles(options, stored)


def _equal_titles(options: tuple[Option, ...], stored: tuple[Option, ...]) -> Iterator[Violation]:
    """Yield a violation for each title that looks like another one, unless both options were stored with them."""
    kept = {(option.id, option.title) for option in stored}
    for index, first in find_same([_comparable_title(option.title) for option in options]).items():
        if not all((options[each].id, options[each].title) in kept for each in (first, index)):
            yield Violation(
                ("options", index, "title"),
                f"the titles of the options {first + 1} and {index + 1} look the same: blanks around a title and "
                "invisible characters do not count; change one of them",
            )


def _comparable_title(title: str) -> str:
    """Return the form of a title to compare; one that is too long as it is, for `comparable` takes quadratic time."""
    return title if len(title) > MAX_TITLE_LENGTH else comparable(title)


def _size_violations(spec: PollSpec) -> Iterator[Violation]:
    texts = (spec.title, spec.description, *(text for option in spec.options for text in (option.id, option.title)))
    size = sum(len(text.encode()) for text in texts)
    if size > MAX_POLL_BYTES:
        yield Violation((), f"a poll has at most {MAX_POLL_BYTES} bytes of text in UTF-8, this one has {size}")


def _settings_violations(settings: Settings) -> Iterator[Violation]:
    try:
        ends_at = read_end_date(settings.end_date)
    except InvalidTime as error:
        yield Violation(("settings", "endDate"), f"{error}; or an empty text for no end")
        return
    if settings.close_poll_on_end_date and ends_at is None:
        yield Violation(
            ("settings", "endDate"), "closePollOnEndDate needs an end date; set one, or set closePollOnEndDate to false"
        )
    if settings.results_visibility == "afterClose" and not settings.close_poll_on_end_date:
        yield Violation(("settings", "resultsVisibility"), "afterClose needs closePollOnEndDate and an end date")
