"""A poll: a question, its options, and how it may be answered."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal, NamedTuple
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from shared.contract.scope import Place

MAX_TITLE_LENGTH: Final = 255
MAX_DESCRIPTION_LENGTH: Final = 10_000
MAX_END_DATE_LENGTH: Final = 64
MAX_OPTIONS: Final = 100
MAX_ORDER: Final = 2**31 - 1
MAX_POLL_BYTES: Final = 64 * 1024
"""All its texts together, in UTF-8."""

ResultsVisibility = Literal["alwaysPublic", "afterVote", "afterClose", "never"]


class Option(Struct, frozen=True):
    """One answer. `id` is chosen by the client and unique in the poll; `order` says where it stands."""

    id: str
    title: str
    order: int


class Settings(Struct, frozen=True):
    """How a poll may be answered. `end_date` is empty, an RFC 3339 date (the end of that day, UTC) or date and time."""

    allow_selection_of_multiple_options: bool = False
    results_visibility: ResultsVisibility = "alwaysPublic"
    end_date: str = ""
    hide_absolute_numbers: bool = False
    allow_revote: bool = False
    save_participant_names: bool = False
    close_poll_on_end_date: bool = False
    allow_comment: bool = False


class PollSpec(Struct, frozen=True):
    """A poll without its id: what a client writes."""

    title: str
    options: tuple[Option, ...]
    description: str = ""
    settings: Settings = Settings()


class Poll(Struct, frozen=True):
    """A poll as it is kept. `version` grows with each edit; a poll never moves to another place."""

    id: UUID
    place: Place
    draft: PollSpec
    version: int
    created_at: datetime
    updated_at: datetime

    def is_closed(self, now: datetime) -> bool:
        """Whether nobody may vote any more."""
        end = closes_at(self.draft.settings)
        return end is not None and end <= now


class UnknownEndpoint(LookupError):
    """The caller's site has another endpoint."""


class UnknownPoll(LookupError):
    """There is no such poll, or not for this caller, or not at this place."""


class PollChanged(Exception):
    """The poll is no longer what the caller took it for."""


class Violation(NamedTuple):
    """A rule that a draft breaks; `path` leads there in the poll's own JSON."""

    path: tuple[str | int, ...]
    reason: str


class InvalidPoll(ValueError):
    """A draft breaks rules, all of which are in `violations`."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(violation.reason for violation in violations))
        self.violations = violations


def check(draft: PollSpec) -> PollSpec:
    """The draft, if it keeps every rule of a poll. Raises `InvalidPoll`."""
    violations = [
        *_text_violations(draft),
        *_option_violations(draft.options),
        *_settings_violations(draft.settings),
        *_size_violations(draft),
    ]
    if violations:
        raise InvalidPoll(violations)
    return draft


def closes_at(settings: Settings) -> datetime | None:
    """From when on a poll is closed, decided when asked; `None` where nothing closes it. The settings are checked."""
    return read_end_date(settings.end_date) if settings.close_poll_on_end_date else None


def closed_at(draft: PollSpec, now: datetime) -> PollSpec:
    """The draft, closed from `now` on at the latest: its end date is what closes a poll, and nothing else."""
    end = closes_at(draft.settings)
    if end is not None and end <= now:
        return draft
    text = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return replace(draft, settings=replace(draft.settings, end_date=text, close_poll_on_end_date=True))


def read_end_date(text: str) -> datetime | None:
    """The instant that an `end_date` names, in UTC; `None` for an empty one. Raises `ValueError`."""
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
    """Raises `ValueError` also where a fraction of a second has more digits than anyone means."""
    if len(text) > MAX_END_DATE_LENGTH:
        raise ValueError(text[:MAX_END_DATE_LENGTH])
    return read_end_date(text)


def _text_violations(draft: PollSpec) -> Iterator[Violation]:
    if not 1 <= len(draft.title) <= MAX_TITLE_LENGTH:
        yield Violation(("title",), f"a title has 1 to {MAX_TITLE_LENGTH} characters, this one has {len(draft.title)}")
    elif not _can_be_seen(draft.title):
        yield Violation(("title",), _NOTHING_TO_SEE)
    if len(draft.description) > MAX_DESCRIPTION_LENGTH:
        yield Violation(("description",), f"a description has at most {MAX_DESCRIPTION_LENGTH} characters")
    for field, text in (("title", draft.title), ("description", draft.description)):
        if "\0" in text:
            yield Violation((field,), "the NUL character cannot be stored; remove it")


def _option_violations(options: tuple[Option, ...]) -> Iterator[Violation]:
    if not 1 <= len(options) <= MAX_OPTIONS:
        yield Violation(("options",), f"a poll has 1 to {MAX_OPTIONS} options, this one has {len(options)}")
    uses = Counter(option.id for option in options)
    for index, option in enumerate(options):
        if uses[option.id] > 1:
            yield Violation(("options", index, "id"), "every option has an id of its own")
        if abs(option.order) > MAX_ORDER:
            yield Violation(("options", index, "order"), f"an order is a number up to {MAX_ORDER}")
        for field, text in (("id", option.id), ("title", option.title)):
            if not 1 <= len(text) <= MAX_TITLE_LENGTH or "\0" in text:
                reason = f"1 to {MAX_TITLE_LENGTH} characters without NUL are wanted here"
                yield Violation(("options", index, field), reason)
            elif field == "title" and not _can_be_seen(text):
                yield Violation(("options", index, field), _NOTHING_TO_SEE)


_NOTHING_TO_SEE: Final = "a title has a character that can be seen"


def _can_be_seen(text: str) -> bool:
    """Whether there is more than blanks, and what has no width or only changes the direction."""
    return any(each.isprintable() and not each.isspace() for each in text)


def _size_violations(draft: PollSpec) -> Iterator[Violation]:
    texts = (draft.title, draft.description, *(text for option in draft.options for text in (option.id, option.title)))
    size = sum(len(text.encode()) for text in texts)
    if size > MAX_POLL_BYTES:
        yield Violation((), f"a poll has up to {MAX_POLL_BYTES} bytes of text, in UTF-8; this one has {size}")


def _settings_violations(settings: Settings) -> Iterator[Violation]:
    try:
        ends_at = _read_short_end_date(settings.end_date)
    except (ValueError, OverflowError):
        example = "'2026-12-24', '2026-12-24T18:00:00Z' or an empty string"
        yield Violation(("settings", "endDate"), f"an end is a date or a date and time as in RFC 3339: {example}")
        return
    if settings.close_poll_on_end_date and ends_at is None:
        yield Violation(
            ("settings", "endDate"),
            "closePollOnEndDate needs an end date; without one, set it to false",
        )
    if settings.results_visibility == "afterClose" and not settings.close_poll_on_end_date:
        yield Violation(("settings", "resultsVisibility"), "afterClose needs closePollOnEndDate and an end date")
