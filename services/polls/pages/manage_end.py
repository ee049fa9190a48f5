"""Close, reopen and delete a poll, each on a page that says what it will do."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aiohttp import web

from services.polls.app_keys import FORM, POLL_EDITOR
from services.polls.domain.consequence import Consequence
from services.polls.domain.edit import Closing, EditedPoll, Patch, PollDeletion, PollEdit
from services.polls.domain.end_date import read_end_date
from services.polls.domain.errors import InvalidPoll, PollChanged
from services.polls.domain.state import PollState
from services.polls.handlers.actor import actor_of
from services.polls.operations.authorization import audience_of
from services.polls.pages import paths
from services.polls.pages.end_form import EndForm
from services.polls.pages.manage_detail import load_poll
from services.polls.pages.manage_page import manage_page
from services.polls.pages.manage_words import describe_ballots
from shared.contract.scope import Action
from shared.guard import caller
from shared.runtime.http.preconditions import read_if_match
from shared.runtime.pages.filters import sentence
from shared.runtime.pages.notices import lead_to
from shared.runtime.text.times import InvalidTime


class Question(NamedTuple):
    """What a page asks: the verb, what the action will do, and for a new end the fields of it."""

    verb: str
    busy: str
    effects: Sequence[str]
    is_dangerous: bool = False
    end: EndForm | None = None
    needs_end: bool = False


async def show_close(request: web.Request) -> web.Response:
    """Return the page that says what closing will do."""
    state = await load_poll(request, Action.UPDATE)
    if state.is_closed:
        return lead_to(paths.poll_path(state.poll.id), "was_closed")
    return _ask_to_close(request, state)


async def close_poll(request: web.Request) -> web.Response:
    """Close the poll, and lead to its page."""
    state = await load_poll(request, Action.UPDATE)
    if state.is_closed:
        return lead_to(paths.poll_path(state.poll.id), "was_closed")
    try:
        await _edit(request, state, Closing())
    except PollChanged:
        return _ask_to_close(request, await load_poll(request, Action.UPDATE), is_changed=True)
    return lead_to(paths.poll_path(state.poll.id), "closed")


async def show_reopen(request: web.Request) -> web.Response:
    """Return the page that says what reopening will do."""
    state = await load_poll(request, Action.UPDATE)
    if not state.is_closed:
        return lead_to(paths.poll_path(state.poll.id), "was_open")
    return _ask_to_reopen(request, state, EndForm())


async def reopen_poll(request: web.Request) -> web.Response:
    """Reopen the poll until the end in the form, or without one, and lead to its page."""
    state, form = await load_poll(request, Action.UPDATE), request[FORM]
    if not state.is_closed:
        return lead_to(paths.poll_path(state.poll.id), "was_open")
    end = EndForm(form.text("end_day"), form.text("end_time"))
    error = _find_error(end, state)
    if error:
        return _ask_to_reopen(request, state, end, error)
    settings = {"end_date": end.to_end_date(), "close_poll_on_end_date": bool(end.day)}
    try:
        await _edit(request, state, Patch(settings=settings), frozenset({Consequence.REOPEN}))
    except PollChanged:
        return _ask_to_reopen(request, await load_poll(request, Action.UPDATE), end, is_changed=True)
    except InvalidPoll as invalid:
        return _ask_to_reopen(request, state, end, sentence(invalid.violations[0].reason))
    return lead_to(paths.poll_path(state.poll.id), "reopened")


async def show_delete(request: web.Request) -> web.Response:
    """Return the page that says what deleting will do."""
    return _ask_to_delete(request, await load_poll(request, Action.DELETE))


async def delete_poll(request: web.Request) -> web.Response:
    """Delete the poll, and return the page that says so."""
    state = await load_poll(request, Action.DELETE)
    expected = read_if_match(request[FORM].raw("etag"))
    deletion = PollDeletion(poll_id=state.poll.id, expected=expected)
    try:
        await request.app[POLL_EDITOR].delete(caller(request), deletion, actor_of(request))
    except PollChanged:
        return _ask_to_delete(request, await load_poll(request, Action.DELETE), is_changed=True)
    ways = [("Polls", paths.POLLS)]
    if caller(request).find_paths(Action.CREATE):
        ways.append(("Create poll", paths.NEW_POLL))
    return manage_page(
        request,
        "manage_done.html",
        title="Poll deleted",
        effects=[f"“{state.poll.spec.title}” was deleted with {_ballots(request, state)}. Its history is kept."],
        ways=ways,
        then=paths.POLLS,
    )


async def _edit(
    request: web.Request, state: PollState, content: Closing | Patch, allowed: frozenset[Consequence] = frozenset()
) -> EditedPoll:
    expected = read_if_match(request[FORM].raw("etag"))
    edit = PollEdit(poll_id=state.poll.id, content=content, expected=expected, allowed=allowed)
    return await request.app[POLL_EDITOR].edit(caller(request), edit, actor_of(request))


def _ask_to_close(request: web.Request, state: PollState, *, is_changed: bool = False) -> web.Response:
    settings = state.poll.spec.settings
    effects = [
        f"No one can vote, or withdraw a vote, from now on. The poll has {_ballots(request, state)}.",
        "The results are final.",
        *(["The results are then shown to participants."] if settings.results_visibility == "afterClose" else []),
        *(["Its end is set to now; an end that was planned is lost."] if settings.end_date else []),
        "The poll can be opened again, but everyone who reads it will see that.",
    ]
    return _confirm_page(request, state, Question("Close", "Closing …", effects), is_changed=is_changed)


def _ask_to_reopen(
    request: web.Request, state: PollState, end: EndForm, error: str = "", *, is_changed: bool = False
) -> web.Response:
    effects = [
        f"The poll takes votes again. It has {_ballots(request, state)}, which stay as they are.",
        "Its results were final, and people may have seen them or relied on them. Everyone who reads the poll will see "
        "that it was opened again.",
    ]
    needs_end = state.poll.spec.settings.results_visibility == "afterClose"
    question = Question("Reopen", "Reopening …", effects, end=end, needs_end=needs_end)
    errors = {"end_day": error} if error else {}
    return _confirm_page(request, state, question, is_changed=is_changed, errors=errors)


def _ask_to_delete(request: web.Request, state: PollState, *, is_changed: bool = False) -> web.Response:
    effects = [
        f"The poll and {_ballots(request, state)} are deleted, permanently.",
        "Links to it stop working. Its history stays in the audit trail, without votes.",
    ]
    question = Question("Delete", "Deleting …", effects, is_dangerous=True)
    return _confirm_page(request, state, question, is_changed=is_changed)


def _confirm_page(
    request: web.Request,
    state: PollState,
    question: Question,
    *,
    is_changed: bool,
    errors: Mapping[str, str] = {},
) -> web.Response:
    return manage_page(
        request,
        "manage_confirm.html",
        status=412 if is_changed else 422 if errors else 200,
        poll=state.poll,
        etag=state.etag,
        question=question,
        is_changed=is_changed,
        errors=errors,
    )


def _ballots(request: web.Request, state: PollState) -> str:
    return describe_ballots(state, audience_of(caller(request), state.poll.place))


def _find_error(end: EndForm, state: PollState) -> str:
    """Return what is wrong with the end of a poll that is to be opened again; empty if it may be so."""
    if not end.day:
        if end.time:
            return "Choose the day."
        needs_end = state.poll.spec.settings.results_visibility == "afterClose"
        return "Choose a day: the results are shown after the end, so the poll needs one." if needs_end else ""
    try:
        at = read_end_date(end.to_end_date())
    except InvalidTime as error:
        return sentence(str(error))
    return "Choose a time in the future." if at is not None and at <= state.at else ""
