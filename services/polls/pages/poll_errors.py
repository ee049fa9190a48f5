"""Say next to the fields of a poll's form what is wrong with them."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.polls.domain.errors import InvalidPoll, Violation
from services.polls.domain.poll import PollSpec
from services.polls.pages.poll_form import PollForm
from shared.runtime.pages.filters import sentence

_FIELDS: Final[Mapping[str, str]] = {"endDate": "end_day", "resultsVisibility": "results_visibility"}
_IF_EMPTY: Final[Mapping[str, str]] = {
    "title": "enter a title",
    "workspace": "enter a workspace, such as PLAT",
    "content": "enter a content, such as PLAT-1",
}


def errors_of(error: InvalidPoll, form: PollForm, stored: PollSpec | None = None) -> dict[str, str]:
    """Return the first violation of each field, by its name in the form. `stored` is that of the poll to edit."""
    rows = _rows_of_options(form, stored)
    found: dict[str, str] = {}
    for violation in error.violations:
        field = _field_of(violation, rows)
        found.setdefault(field, sentence(_reason_of(field, violation, form)))
    return found


def _rows_of_options(form: PollForm, stored: PollSpec | None) -> list[int]:
    """Return the row of each option of the spec, which may list them in another order than they are shown in."""
    rows = {option_id: row for row, option_id in enumerate(form.option_ids(stored)) if option_id}
    return [rows[option.id] for option in form.to_spec(stored).options]


def _field_of(violation: Violation, rows: Sequence[int]) -> str:
    match violation.path:
        case ("options", int(index), *_):
            return f"option-{rows[index]}"
        case ("settings", str(name)):
            return _FIELDS.get(name, "form")
        case ("location", str(name)) | (str(name),):
            return name
    return "form"


def _reason_of(field: str, violation: Violation, form: PollForm) -> str:
    if field in _IF_EMPTY and not getattr(form, field).strip():
        return _IF_EMPTY[field]
    if field.startswith("option-") and not form.rows[int(field.removeprefix("option-"))].title.strip():
        return "enter a title, or remove the option"
    if field == "options" and not any(row.title.strip() for row in form.rows):
        return "enter at least one option"
    if field == "results_visibility":
        return "results after the end need an end: choose a day below, and close the poll then"
    if field == "end_day" and not form.end.day:
        return "choose the day" if form.end.time else "choose a day, or do not close the poll at its end"
    return violation.reason.removesuffix("; or an empty text for no end")
