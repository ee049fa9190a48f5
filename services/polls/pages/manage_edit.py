"""Edit a poll. What would cost votes, or break a promise to participants, is asked for first."""

from collections.abc import Mapping, Sequence, Set
from typing import NoReturn

from aiohttp import web

from services.polls.app_keys import DATABASE, FORM, POLL_EDITOR
from services.polls.domain.consequence import Consequence
from services.polls.domain.edit import EditedPoll, PollEdit, Replacement
from services.polls.domain.errors import (
    Finding,
    InvalidPoll,
    PollChanged,
    PromisesWouldBeBroken,
    TooManyEdits,
    VotesWouldBeDropped,
)
from services.polls.domain.poll import PollSpec, validate
from services.polls.domain.promises import require_allowed
from services.polls.domain.results import Audience
from services.polls.domain.state import PollState
from services.polls.handlers.actor import actor_of
from services.polls.operations.authorization import audience_of
from services.polls.pages import paths
from services.polls.pages.edit_warnings import (
    ERASE_NAMES,
    EditWarning,
    describe_effect,
    differences,
    warning_of_erasure,
    warnings_of,
)
from services.polls.pages.manage_detail import load_poll
from services.polls.pages.manage_page import manage_page
from services.polls.pages.poll_errors import errors_of
from services.polls.pages.poll_form import PollForm, form_of_poll, read_poll_form
from services.polls.pages.poll_preview import preview_of
from services.polls.storage.ballots import count_named
from shared.contract.scope import Action
from shared.guard import caller
from shared.runtime.http.preconditions import read_if_match
from shared.runtime.pages.notices import lead_to


class _NamesWouldBeErased(Exception):
    """The page has not asked yet whether names may be erased."""


async def show_form(request: web.Request) -> web.Response:
    """Return the form with the fields of the poll."""
    state = await load_poll(request, Action.UPDATE)
    return _form_page(request, state, form_of_poll(state.poll.spec, state.poll.place), state.etag)


async def edit_poll(request: web.Request) -> web.Response:
    """Edit the poll, or return the form with its errors, with what has to be allowed, or with the rows asked for."""
    state, sent = await load_poll(request, Action.UPDATE), request[FORM]
    form, etag = read_poll_form(sent), sent.raw("etag")
    allowed = frozenset(each for each in Consequence if each in sent.all("allow"))
    changed = form.changed_rows(sent)
    if changed is not None or sent.has("preview"):
        warnings = warnings_of((), allowed, state, form.to_spec(state.poll.spec), _audience(request, state))
        return _form_page(request, state, changed or form, etag, warnings=warnings)
    spec, expected = form.to_spec(state.poll.spec), read_if_match(etag)
    edit = PollEdit(poll_id=state.poll.id, content=Replacement(spec), expected=expected, allowed=allowed)
    erasure = await _find_erasure(request, state, spec)
    try:
        if erasure and not erasure.is_allowed and expected.allows(state.etag):
            _ask_first(state, validate(spec, state.poll.spec), allowed, _audience(request, state))
        edited = await request.app[POLL_EDITOR].edit(caller(request), edit, actor_of(request))
    except InvalidPoll as error:
        return _form_page(request, state, form, etag, errors=errors_of(error, form, state.poll.spec))
    except (VotesWouldBeDropped, PromisesWouldBeBroken, _NamesWouldBeErased) as error:
        state = await load_poll(request, Action.UPDATE)
        warnings = warnings_of(_findings(error), allowed, state, spec, _audience(request, state))
        asked = [*warnings, erasure] if erasure else warnings
        return _form_page(request, state, form, etag, status=409, warnings=asked)
    except PollChanged:
        state = await load_poll(request, Action.UPDATE)
        conflict = differences(state.poll.spec, form.to_spec(state.poll.spec))
        return _form_page(request, state, form, state.etag, status=412, conflict=conflict)
    except TooManyEdits:
        message = "The poll was edited as often within a day as it may be. Try again later."
        return _form_page(request, state, form, etag, status=429, errors={"form": message})
    return _edited(request, edited)


def _edited(request: web.Request, edited: EditedPoll) -> web.Response:
    """Lead to the poll, or say what the edit has done to ballots and promises."""
    poll = edited.state.poll
    effects = describe_effect(edited, _audience(request, edited.state))
    if not effects:
        return lead_to(paths.poll_path(poll.id), "changed" if edited.is_changed else "unchanged")
    return manage_page(
        request,
        "manage_done.html",
        title="Poll changed",
        effects=[f"“{poll.spec.title}” was changed.", *effects],
        ways=[("Open the poll", paths.poll_path(poll.id)), ("Polls", paths.POLLS)],
        then=paths.poll_path(poll.id),
    )


def _form_page(
    request: web.Request,
    state: PollState,
    form: PollForm,
    etag: str,
    *,
    status: int = 200,
    errors: Mapping[str, str] = {},
    warnings: Sequence[EditWarning] = (),
    conflict: Sequence[tuple[str, str]] | None = None,
) -> web.Response:
    return manage_page(
        request,
        "manage_form.html",
        status=422 if errors and status == 200 else status,
        poll=state.poll,
        form=form,
        form_key="",
        etag=etag,
        errors=errors,
        warnings=warnings,
        ballots=state.results(_audience(request, state)).participants,
        conflict=conflict,
        preview=preview_of(form, state.poll.spec),
        choice=None,
    )


async def _find_erasure(request: web.Request, state: PollState, spec: PollSpec) -> EditWarning | None:
    """Return the warning of an edit that erases names from ballots; `None` if it erases none."""
    if spec.settings.save_participant_names or not state.poll.spec.settings.save_participant_names:
        return None
    ballots = await count_named(request.app[DATABASE], state.poll.id)
    may_count = state.results(_audience(request, state)).participants is not None
    is_allowed = ERASE_NAMES in request[FORM].all("allow")
    return warning_of_erasure(ballots if may_count else None, is_allowed=is_allowed) if ballots else None


def _ask_first(state: PollState, spec: PollSpec, allowed: Set[Consequence], audience: Audience) -> NoReturn:
    """Refuse an edit that erases names, with what it would be refused for besides. Raise one of three exceptions."""
    require_allowed(state, spec, allowed, audience)
    raise _NamesWouldBeErased


def _findings(error: VotesWouldBeDropped | PromisesWouldBeBroken | _NamesWouldBeErased) -> Sequence[Finding]:
    if isinstance(error, PromisesWouldBeBroken):
        return error.findings
    if isinstance(error, _NamesWouldBeErased):
        return []
    return [Finding(Consequence.DROP_VOTES, ("options",), str(error))]


def _audience(request: web.Request, state: PollState) -> Audience:
    return audience_of(caller(request), state.poll.place)
