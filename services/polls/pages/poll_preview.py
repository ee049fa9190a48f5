"""What people who vote will see of the poll in a form."""

from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web

from services.polls.app_keys import FORM
from services.polls.domain.errors import InvalidPoll
from services.polls.domain.poll import PollSpec, validate
from services.polls.pages.manage_page import manage_page
from services.polls.pages.manage_words import describe_settings
from services.polls.pages.poll_errors import errors_of
from services.polls.pages.poll_form import PollForm, read_poll_form


class PollPreview(NamedTuple):
    """The texts, the rules in words, and what is missing."""

    title: str
    description: str
    options: Sequence[str]
    allows_several: bool
    rules: Sequence[str]
    missing: Sequence[str]


async def show_preview(request: web.Request) -> web.Response:
    """Return a part of the page: the preview of the form that was sent."""
    return manage_page(request, "poll_preview.html", preview=preview_of(read_poll_form(request[FORM])))


def preview_of(form: PollForm, stored: PollSpec | None = None) -> PollPreview:
    """Return what the form comes to, also if it is not complete."""
    spec, missing = form.to_spec(stored), list[str]()
    try:
        spec = validate(spec, stored)
    except InvalidPoll as error:
        missing = [_with_row(name, text) for name, text in errors_of(error, form, stored).items()]
    return PollPreview(
        spec.title.strip(),
        spec.description.strip(),
        [option.title.strip() for option in spec.options],
        spec.settings.allow_selection_of_multiple_options,
        describe_settings(spec.settings)[1:],  # the first one is above the options, as on the voting page
        missing,
    )


def _with_row(name: str, text: str) -> str:
    """Return the error of a field, with the number of the option that it is about."""
    row = name.removeprefix("option-")
    return f"Option {int(row) + 1}: {text}" if row.isdigit() else text
