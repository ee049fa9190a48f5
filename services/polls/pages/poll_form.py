"""The form of a poll's fields, as it is shown and as it was sent."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

from msgspec import Struct
from msgspec.structs import replace

from services.polls.domain.errors import InvalidPoll, Violation
from services.polls.domain.poll import (
    MAX_OPTIONS,
    Option,
    PollSpec,
    ResultsVisibility,
    Settings,
    closing_time,
    in_order,
    validate,
)
from services.polls.domain.templates import Template
from services.polls.pages.end_form import EndForm, end_form_of
from services.polls.pages.manage_words import VISIBILITIES
from services.polls.payloads.polls import LocationPayload
from shared.contract.scope import Path, Place
from shared.runtime.pages.forms import Form

MAX_ROWS: Final = 5 * MAX_OPTIONS
"""Rows that a form may have. A poll with too many options is refused, and nothing that was typed is lost."""
NEW_ROWS: Final = 3
"""Empty rows that are added at once."""
_OVER: Final = "this time is over, so the poll would be closed at once. Choose a later one"
_BOXES: Final = (
    "allow_selection_of_multiple_options",
    "hide_absolute_numbers",
    "allow_revote",
    "save_participant_names",
    "close_poll_on_end_date",
    "allow_comment",
)


class OptionRow(NamedTuple):
    """One row of options. `id` is empty for an option that is new."""

    title: str = ""
    id: str = ""

    @property
    def key(self) -> str:
        """The id in a form, which would change some characters of it otherwise."""
        return quote(self.id, safe="")


class PollForm(Struct, frozen=True, kw_only=True):
    """The fields of a poll as texts. The end date of `settings` is that of `end`."""

    title: str = ""
    description: str = ""
    rows: tuple[OptionRow, ...] = (OptionRow(),) * NEW_ROWS
    settings: Settings = Settings()
    end: EndForm = EndForm()
    workspace: str = ""
    content: str = ""
    container: str = ""

    def to_place(self) -> Place:
        """Return the place. Raise `InvalidPoll`."""
        return LocationPayload(self.workspace, self.content, self.container).to_place()

    def to_spec(self, stored: PollSpec | None = None) -> PollSpec:
        """Return the spec, not yet validated. `stored` is that of the poll to edit."""
        settings = replace(self.settings, end_date=self.end.to_end_date(stored.settings.end_date if stored else ""))
        titles = {each: row.title for each, row in zip(self.option_ids(stored), self.rows, strict=True) if each}
        return PollSpec(self.title, _options(titles, stored), self.description, settings)

    def to_valid(self, now: datetime) -> tuple[Place, PollSpec]:
        """Return place and spec of a new poll. Raise `InvalidPoll` with the violations of both.

        A poll that would be closed at once is refused too. The API accepts it, for clients that move polls.
        """
        violations: list[Violation] = []
        place, spec = Place("", ""), self.to_spec()
        try:
            place = self.to_place()
        except InvalidPoll as error:
            violations += error.violations
        try:
            spec = validate(spec)
            closes = closing_time(spec.settings)
            if closes is not None and closes <= now:
                violations.append(Violation(("settings", "endDate"), _OVER))
        except InvalidPoll as error:
            violations += error.violations
        if violations:
            raise InvalidPoll(violations)
        return place, spec

    def option_ids(self, stored: PollSpec | None = None) -> list[str]:
        """Return the id of the option of each row; empty for a row that is left out because nothing was entered.

        An option that is stored is never left out. A new one gets an id that no other option has or had.
        """
        known = {option.id for option in stored.options} if stored else set()
        used = known | {row.id for row in self.rows}
        ids = []
        for row in self.rows:
            if not row.title.strip() and row.id not in known:
                ids.append("")
                continue
            ids.append(row.id or _free_id(used))
            used.add(ids[-1])
        return ids

    def changed_rows(self, sent: Form) -> "PollForm | None":
        """Return the form with rows changed by the button that was pressed; `None` if it was another one."""
        rows = list(self.rows)
        if sent.has("add_options"):
            rows += [OptionRow()] * min(NEW_ROWS, MAX_ROWS - len(rows))
        for name, step in (("move_up", -1), ("move_down", 1)):
            index = _index(sent, name, len(rows))
            if index is not None and 0 <= index + step < len(rows):
                rows[index], rows[index + step] = rows[index + step], rows[index]
        index = _index(sent, "remove_option", len(rows))
        if index is not None:
            del rows[index]
        is_pressed = any(sent.has(name) for name in ("add_options", "move_up", "move_down", "remove_option"))
        return replace(self, rows=tuple(rows)) if is_pressed else None


def new_poll_form(template: Template, place: Path) -> PollForm:
    """Return the form of a new poll from a template. The blank one has nothing to overwrite."""
    workspace, content, container = (*place, "", "", "")[:3]
    if template.id == "blank":
        return PollForm(workspace=workspace, content=content, container=container)
    return form_of_poll(template.spec, Place(workspace, content, container))


def form_of_poll(spec: PollSpec, place: Place) -> PollForm:
    """Return the form with the fields of a poll, to edit it."""
    return PollForm(
        title=spec.title,
        description=spec.description,
        rows=tuple(OptionRow(option.title, option.id) for option in in_order(spec.options)),
        settings=spec.settings,
        end=end_form_of(spec.settings.end_date),
        workspace=place.workspace,
        content=place.content,
        container=place.container,
    )


def read_poll_form(form: Form) -> PollForm:
    """Return the form as it was sent."""
    titles, keys = form.all("option_title")[:MAX_ROWS], form.all("option_key")
    settings: dict[str, Any] = {name: form.has(name) for name in _BOXES}
    end = EndForm(form.text("end_day"), form.text("end_time"))
    return PollForm(
        title=form.raw("title"),
        description=form.raw("description").replace("\r\n", "\n"),
        rows=tuple(
            OptionRow(title, unquote(keys[index]) if index < len(keys) else "") for index, title in enumerate(titles)
        ),
        settings=Settings(**settings, results_visibility=_visibility(form.raw("results_visibility"))),
        end=end,
        workspace=form.text("place-workspace"),
        content=form.text("place-content"),
        container=form.text("place-container"),
    )


def _options(titles: Mapping[str, str], stored: PollSpec | None) -> tuple[Option, ...]:
    """Return the options with these titles by id, in this order; as they are stored if they are in the same order."""
    if stored is not None and [option.id for option in in_order(stored.options)] == list(titles):
        return tuple(replace(option, title=titles[option.id]) for option in stored.options)
    return tuple(Option(each, title, order) for order, (each, title) in enumerate(titles.items()))


def _free_id(used: Collection[str]) -> str:
    return next(str(number) for number in range(1, len(used) + 2) if str(number) not in used)


def _visibility(text: str) -> ResultsVisibility:
    return next((each for each in VISIBILITIES if each == text), "alwaysPublic")


def _index(sent: Form, name: str, rows: int) -> int | None:
    text = sent.raw(name)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 and int(text) < rows else None
