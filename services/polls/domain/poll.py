"""A poll: a question, its options and its settings, and the rules for them."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from services.polls.domain.consequence import Consequence
from services.polls.domain.errors import InvalidPoll, Violation
from shared.contract.scope import Place

MAX_TITLE_LENGTH: Final = 255
MAX_DESCRIPTION_LENGTH: Final = 10_000
MAX_END_DATE_LENGTH: Final = 64
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
    """The settings of a poll. `end_date` is empty, an RFC 3339 date (the end of that day in UTC) or date-time."""

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


def validate(spec: PollSpec) -> PollSpec:
    """Return the spec if it is valid. Raise `InvalidPoll` with every violation."""
    violations = [
        *_text_violations(spec),
        *_option_violations(spec.options),
        *_settings_violations(spec.settings),
        *_size_violations(spec),
    ]
    if violations:
        raise InvalidPoll(violations)
    return spec


def closing_time(settings: Settings) -> datetime | None:
    """Return the time when a poll with these valid settings closes, or `None` if it never closes."""
    return read_end_date(settings.end_date) if settings.close_poll_on_end_date else None


def close_at(spec: PollSpec, now: datetime) -> PollSpec:
    """Return the spec with an end date that closes the poll at `now`, or unchanged if it has closed before."""
    end = closing_time(spec.settings)
    if end is not None and end <= now:
        return spec
    text = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return replace(spec, settings=replace(spec.settings, end_date=text, close_poll_on_end_date=True))


def read_end_date(text: str) -> datetime | None:
    """Return the time that an `end_date` stands for, in UTC, or `None` if it is empty.

    Raise `ValueError` if the text is invalid, or `OverflowError` if the UTC value is out of `datetime`'s range.
    """
    if not text:
        return None
    if _DATE.fullmatch(text):
        return datetime.combine(date.fromisoformat(text), time.min, UTC) + timedelta(days=1)
    if not _DATE_TIME.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DATE_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _read_short_end_date(text: str) -> datetime | None:
    if len(text) > MAX_END_DATE_LENGTH:
        raise ValueError(text[:MAX_END_DATE_LENGTH])
    return read_end_date(text)


_INVISIBLE: Final = "a title must contain a visible character"


def _text_violations(spec: PollSpec) -> Iterator[Violation]:
    if not 1 <= len(spec.title) <= MAX_TITLE_LENGTH:
        yield Violation(("title",), f"a title has 1 to {MAX_TITLE_LENGTH} characters, this one has {len(spec.title)}")
    elif not _has_visible_character(spec.title):
        yield Violation(("title",), _INVISIBLE)
    if len(spec.description) > MAX_DESCRIPTION_LENGTH:
        yield Violation(("description",), f"a description has at most {MAX_DESCRIPTION_LENGTH} characters")
    for field, text in (("title", spec.title), ("description", spec.description)):
        if "\0" in text:
            yield Violation((field,), "the NUL character cannot be stored; remove it")


def _option_violations(options: tuple[Option, ...]) -> Iterator[Violation]:
    if not 1 <= len(options) <= MAX_OPTIONS:
        yield Violation(("options",), f"a poll has 1 to {MAX_OPTIONS} options, this one has {len(options)}")
    uses = Counter(option.id for option in options)
    for index, option in enumerate(options):
        if uses[option.id] > 1:
            yield Violation(("options", index, "id"), "another option has the same id; ids are unique in a poll")
        if abs(option.order) > MAX_ORDER:
            yield Violation(("options", index, "order"), f"an order is a number from -{MAX_ORDER} to {MAX_ORDER}")
        for field, text in (("id", option.id), ("title", option.title)):
            if not 1 <= len(text) <= MAX_TITLE_LENGTH or "\0" in text:
                yield Violation(
                    ("options", index, field), f"expected 1 to {MAX_TITLE_LENGTH} characters, none of them NUL"
                )
            elif field == "title" and not _has_visible_character(text):
                yield Violation(("options", index, field), _INVISIBLE)


def _has_visible_character(text: str) -> bool:
    """Return whether some character is neither white space nor invisible, such as a mark of direction."""
    return any(character.isprintable() and not character.isspace() for character in text)


def _size_violations(spec: PollSpec) -> Iterator[Violation]:
    texts = (spec.title, spec.description, *(text for option in spec.options for text in (option.id, option.title)))
    size = sum(len(text.encode()) for text in texts)
    if size > MAX_POLL_BYTES:
        yield Violation((), f"a poll has at most {MAX_POLL_BYTES} bytes of text in UTF-8, this one has {size}")


def _settings_violations(settings: Settings) -> Iterator[Violation]:
    try:
        ends_at = _read_short_end_date(settings.end_date)
    except (ValueError, OverflowError):
        example = "'2026-12-24', '2026-12-24T18:00:00Z' or an empty string"
        yield Violation(("settings", "endDate"), f"expected a date or a date-time as in RFC 3339: {example}")
        return
    if settings.close_poll_on_end_date and ends_at is None:
        yield Violation(
            ("settings", "endDate"), "closePollOnEndDate needs an end date; set one, or set closePollOnEndDate to false"
        )
    if settings.results_visibility == "afterClose" and not settings.close_poll_on_end_date:
        yield Violation(("settings", "resultsVisibility"), "afterClose needs closePollOnEndDate and an end date")
