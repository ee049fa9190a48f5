"""The options that `poll create` and `poll update` share: a poll's text, options and settings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter, Token

from pollgate.cli.errors import UsageError
from pollgate.cli.field_options import option_of, repeated_option
from pollgate.cli.json_file import read_json_object
from pollgate.cli.options import Repeatable
from pollgate.cli.output import warn
from pollgate.cli.times import end_date, format_end_date
from pollgate.client import Option, Poll
from pollgate.client.encoding import without_none
from shared.runtime.text.characters import comparable
from shared.runtime.text.times import read_time

_SETTINGS: Final = {
    "allowSelectionOfMultipleOptions": "multiple",
    "allowRevote": "allow_revote",
    "saveParticipantNames": "save_names",
    "allowComment": "allow_comment",
    "hideAbsoluteNumbers": "hide_numbers",
    "resultsVisibility": "results",
    "endDate": "ends",
    "closePollOnEndDate": "close_on_end",
}
"""From settings in the API to the fields below."""

Visibility = Literal["alwaysPublic", "afterVote", "afterClose", "never"]


def _end_date(_: Any, tokens: Sequence[Token]) -> str:
    return end_date(tokens[0].value)


@dataclass(frozen=True)
class PollFields:
    """The values of these options; `None` if one is not given."""

    title: Annotated[str | None, Parameter(help="Question, 1 to 255 characters.")] = None
    description: Annotated[str | None, Parameter(help="Further text.")] = None
    option: Annotated[
        Repeatable | None,
        Parameter(
            metavar="[ID=]TITLE",
            help="Option, by its title, or with an id of your choice. =TITLE for a title that contains =. Repeatable.",
        ),
    ] = None
    multiple: Annotated[bool | None, Parameter(help="Allow several options per ballot, or exactly one.")] = None
    allow_revote: Annotated[bool | None, Parameter(help="Allow participants to replace their ballots, or not.")] = None
    save_names: Annotated[bool | None, Parameter(help="Store who voted for what, or not.")] = None
    allow_comment: Annotated[bool | None, Parameter(help="Allow comments with ballots, or not.")] = None
    hide_numbers: Annotated[bool | None, Parameter(help="Show percentages without numbers of votes, or both.")] = None
    results: Annotated[Visibility | None, Parameter(help="When results are visible; alwaysPublic by default.")] = None
    ends: Annotated[
        str | None,
        Parameter(
            converter=_end_date,
            metavar="TIME",
            help="End, in UTC unless it has a zone: 2027-01-31 (its last moment) or 2027-01-31T12:00+09:00; how long "
            "from now, such as 7d; or never, for no end.",
        ),
    ] = None
    close_on_end: Annotated[bool | None, Parameter(help="Close the poll at its end, or leave it open.")] = None
    file: Annotated[
        str | None,
        Parameter(
            metavar="FILE",
            allow_leading_hyphen=True,
            help="File with a poll as JSON, or - for standard input; other options take precedence.",
        ),
    ] = None

    def to_body(self) -> dict[str, Any]:
        """Return the body for the API, without the poll's options. Raise `UsageError`."""
        body = (
            {} if self.file is None else read_json_object(self.file, "the poll", '{"title": "Lunch?", "options": […]}')
        )
        if self.ends == "" and self.close_on_end:
            raise UsageError("a poll without an end cannot close at its end: give --ends never or --close-on-end")
        body |= without_none({"title": self.title, "description": self.description})
        settings = self._settings()
        if settings:
            kept = body.get("settings", {})
            body["settings"] = {**(kept if isinstance(kept, Mapping) else {}), **settings}
        return body

    def options(self) -> dict[str, str]:
        """Return how to name the options of the command that are given, by the JSON pointers that they set."""
        texts = without_none({"/title": self.title, "/description": self.description, "/options": self.option})
        settings = {f"/settings/{name}": value for name, value in self._settings().items()}
        named = {pointer: option_of(pointer) for pointer in (*texts, *settings)}
        return {**repeated_option("/options", "--option", self.option or ()), **named}

    def _settings(self) -> dict[str, Any]:
        settings = without_none({name: getattr(self, field) for name, field in _SETTINGS.items()})
        return {**settings, "closePollOnEndDate": False} if self.ends == "" else settings


NO_FIELDS: Final = PollFields()


def warn_of_passed_end(poll: Poll) -> None:
    """Print a warning for a poll whose end has passed."""
    text = poll.settings.end_date
    if not text or read_time(text, day="last") > datetime.now(UTC):
        return
    end = format_end_date(text)
    if poll.settings.close_poll_on_end_date:
        warn(f"the end of this poll, {end}, has passed: it is closed; --ends with a later time opens it")
    else:
        warn(f"the end of this poll, {end}, has passed; it stays open, because it does not close at its end")


def parse_options(texts: Sequence[str], present: Sequence[Option] = ()) -> list[Option]:
    """Return the options that are written as TITLE or ID=TITLE. Raise `UsageError`.

    Without an id, an option has the id of the `present` one with its title, if there is exactly one, or else an unused
    number.
    """
    split = [_id_and_title(text) for text in texts]
    given_ids = {given_id for given_id, _ in split}
    by_title = {title: ids[0] for title, ids in _ids_by_title(present).items() if len(ids) == 1}
    by_title = {title: option_id for title, option_id in by_title.items() if option_id not in given_ids}
    free = _unused_numbers(given_ids | {option.id for option in present})
    return [Option(given_id or by_title.pop(comparable(title), "") or next(free), title) for given_id, title in split]


def all_have_ids(texts: Sequence[str]) -> bool:
    """Return whether each of the texts contains an id."""
    return all(_id_and_title(text)[0] for text in texts)


def _id_and_title(text: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    given_id, title = (left, right) if equals else ("", text)
    if not title:
        raise UsageError(f"--option takes TITLE or ID=TITLE, such as no='No, thanks', not '{text}'")
    return given_id, title


def _ids_by_title(options: Sequence[Option]) -> dict[str, list[str]]:
    """Return the ids of options by their titles, in the form in which titles that look the same are equal."""
    found: dict[str, list[str]] = {}
    for option in options:
        found.setdefault(comparable(option.title), []).append(option.id)
    return found


def _unused_numbers(taken: set[str]) -> Iterator[str]:
    return (str(number) for number in count(1) if str(number) not in taken)
