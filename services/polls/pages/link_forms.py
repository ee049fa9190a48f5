"""Read the forms of new voting links, and say next to their fields what is wrong with them."""

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from services.polls.domain.end_date import read_end_date
from services.polls.domain.errors import InvalidLink, Violation
from services.polls.domain.link import (
    DEFAULT_MAX_PER_ADDRESS,
    MAX_LINKS_PER_BATCH,
    MAX_PARTICIPANTS,
    Invitation,
    Sharing,
    new_invitations,
    new_sharing,
)
from services.polls.domain.participant import read_participant
from services.polls.pages.end_form import EndForm
from shared.runtime.pages.filters import plural, sentence
from shared.runtime.pages.forms import Form
from shared.runtime.text.characters import InvalidText
from shared.runtime.text.times import InvalidTime

MAX_SHOWN_LINES: Final = 10
_OVER: Final = "Choose a time in the future, or no day for links that never expire."
_DELIMITERS: Final = "\t;,"
_MAX_CELLS: Final = 2
_NAME: Final = "name"
_COLUMNS: Final = {"participant", "id", "email", "e-mail", "user", _NAME}
"""What the first line may call its columns, in small letters."""
_NUMBER: Final = re.compile(r"[0-9]{1,10}", re.ASCII)
_FIELDS: Final[Mapping[str, str]] = {"expiresAt": "end_day"}


class InvalidLinkForm(Exception):
    """A form is not valid. `errors` has a sentence for each field, and `lines` one for each line of participants."""

    def __init__(self, errors: Mapping[str, str], lines: Sequence[str] = ()) -> None:
        super().__init__(*errors.values())
        self.errors = errors
        self.lines = lines


class SharedForm(Struct, frozen=True):
    """The fields of a new shared link, as texts. An empty limit is none."""

    label: str = ""
    max_participants: str = ""
    max_per_address: str = str(DEFAULT_MAX_PER_ADDRESS)
    end: EndForm = EndForm()

    def to_valid(self, now: datetime) -> tuple[Sharing, datetime | None]:
        """Return the limits and the end of the link. Raise `InvalidLinkForm` with an error for each field."""
        errors = dict[str, str]()
        limits = [self._read_limit(name, errors) for name in ("max_participants", "max_per_address")]
        expires_at = _read_end(self.end, now, errors)
        sharing = Sharing(self.label or None, *limits)
        try:
            sharing = new_sharing(sharing)
        except InvalidLink as error:
            errors = {**errors_of(error), **errors}
        if errors:
            raise InvalidLinkForm(errors)
        return sharing, expires_at

    def _read_limit(self, name: str, errors: dict[str, str]) -> int | None:
        text = re.sub(r"[\s,]", "", str(getattr(self, name)))
        if not text:
            return None
        if _NUMBER.fullmatch(text) and 1 <= int(text) <= MAX_PARTICIPANTS:
            return int(text)
        errors[name] = f"Enter a whole number from 1 to {MAX_PARTICIPANTS:,}, or leave this empty for no limit."
        return None


class PersonalForm(Struct, frozen=True):
    """The fields of new personal links, as texts: one participant, or a text with one in each line."""

    who: Literal["one", "many"] = "one"
    participant: str = ""
    name: str = ""
    participants: str = ""
    end: EndForm = EndForm()
    has_bom: bool = False

    def to_valid(self, now: datetime) -> tuple[list[Invitation], datetime | None]:
        """Return the participants and the end of their links. Raise `InvalidLinkForm` with an error for each field."""
        errors, lines, invitations = dict[str, str](), list[str](), list[Invitation]()
        expires_at = _read_end(self.end, now, errors)
        try:
            invitations = self._read_one() if self.who == "one" else _read_many(self.participants)
        except InvalidLinkForm as error:
            errors, lines = {**errors, **error.errors}, list(error.lines)
        if errors:
            raise InvalidLinkForm(errors, lines)
        return invitations, expires_at

    def _read_one(self) -> list[Invitation]:
        if not self.participant:
            has_lines = bool(self.participants.strip())
            other = ", or choose “Several participants” for those below" if has_lines else ""
            raise InvalidLinkForm({"participant": f"Enter an id for the participant{other}."})
        try:
            return new_invitations([Invitation(self.participant, self.name or None)])
        except InvalidLink as error:
            raise InvalidLinkForm({str(each.path[-1]): sentence(each.reason) for each in error.violations}) from None


class _Line(NamedTuple):
    """A line of the text with participants, counted from 1."""

    number: int
    invitation: Invitation


def read_shared_form(form: Form) -> SharedForm:
    """Return the fields of a new shared link."""
    return SharedForm(form.text("label"), form.text("max_participants"), form.text("max_per_address"), _end_of(form))


def read_personal_form(form: Form) -> PersonalForm:
    """Return the fields of new personal links. Lines are kept as they are, so that their numbers are right."""
    return PersonalForm(
        "many" if form.raw("who") == "many" else "one",
        form.text("participant"),
        form.text("name"),
        form.raw("participants").replace("\r\n", "\n"),
        _end_of(form),
        form.has("bom"),
    )


def errors_of(error: InvalidLink) -> dict[str, str]:
    """Return the first violation of each field, by its name in the form."""
    found = dict[str, str]()
    for violation in error.violations:
        name = str(violation.path[0])
        found.setdefault(_FIELDS.get(name, name), _reason_of(violation))
    return found


def _reason_of(violation: Violation) -> str:
    if violation.path[0] == "expiresAt":
        return _OVER
    return sentence(violation.reason)


def _end_of(form: Form) -> EndForm:
    return EndForm(form.text("end_day"), form.text("end_time"))


def _read_end(end: EndForm, now: datetime, errors: dict[str, str]) -> datetime | None:
    """Return the time at which links end, `None` for no end. Add an error if it is invalid or over."""
    if end.time and not end.day:
        errors["end_day"] = "Choose the day."
        return None
    try:
        at = read_end_date(end.to_end_date())
    except InvalidTime as error:
        errors["end_day"] = sentence(str(error))
        return None
    if at is not None and at <= now:
        errors["end_day"] = _OVER
    return at


def _read_many(text: str) -> list[Invitation]:
    """Return the participants of a text. Raise `InvalidLinkForm`, which names the lines."""
    errors = dict[int, str]()
    lines = _read_lines(text, errors)
    _find_repetitions(lines, errors)
    if not lines and not errors:
        raise InvalidLinkForm({"participants": "Enter at least one participant."})
    if len(lines) > MAX_LINKS_PER_BATCH:
        many = f"These are {plural(len(lines), 'participant')}; at most {MAX_LINKS_PER_BATCH:,} fit into one form."
        raise InvalidLinkForm({"participants": many})
    invitations = [line.invitation for line in lines]
    try:
        invitations = new_invitations(invitations) if invitations else []
    except InvalidLink as error:
        for violation in error.violations:
            _, index, field = violation.path
            reason = f"the {'name' if field == 'name' else 'id'} {violation.reason.removeprefix('this ')}"
            errors.setdefault(lines[int(index)].number, reason)
    if errors:
        raise InvalidLinkForm({"participants": f"Correct {plural(len(errors), 'line')}."}, _describe_lines(errors))
    return invitations


def _read_lines(text: str, errors: dict[int, str]) -> list[_Line]:
    """Return the participants of the lines that are not empty, without a line with the names of columns."""
    lines, is_first = list[_Line](), True
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        cells = _read_cells(line)
        names = [cell.casefold() for cell in cells or () if cell]
        is_header = is_first and bool(names) and set(names) <= _COLUMNS
        is_first = False
        if cells is None:
            errors[number] = "the quotation marks are not those of CSV"
        elif len(cells) > _MAX_CELLS:
            errors[number] = "expected an id, or an id and a name; put a name with a comma between quotation marks"
        elif is_header and (names[0] == _NAME or names[1:] not in ([], [_NAME])):
            errors[number] = "expected a column of ids, or of ids and then of names"
        elif not is_header:
            lines.append(_Line(number, Invitation(cells[0], cells[1] if cells[1:] and cells[1] else None)))
    return lines


def _read_cells(line: str) -> list[str] | None:
    """Return the cells of a line of CSV, without blanks around them; `None` if it is none."""
    delimiter = next((each for each in _DELIMITERS if each in line), ",")
    try:
        (cells,) = csv.reader([line.strip()], delimiter=delimiter, skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        return None
    return [cell.strip() for cell in cells]


def _find_repetitions(lines: Sequence[_Line], errors: dict[int, str]) -> None:
    first = dict[str, int]()
    for number, invitation in lines:
        try:
            before = first.setdefault(read_participant(invitation.participant), number)
        except InvalidText:
            continue
        if before != number:
            errors[number] = f"this is the participant of line {before:,} too; each gets one link"


def _describe_lines(errors: Mapping[int, str]) -> list[str]:
    shown = [f"Line {number:,}: {sentence(errors[number])}" for number in sorted(errors)[:MAX_SHOWN_LINES]]
    rest = len(errors) - len(shown)
    return [*shown, f"And {plural(rest, 'other line')}."] if rest else shown
