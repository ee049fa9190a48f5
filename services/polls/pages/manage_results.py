"""The results of a poll, its comments, and its ballots where it keeps names."""

from typing import Annotated, Any, Final
from uuid import UUID

from aiohttp import web
from msgspec import Meta, Struct

from services.polls.app_keys import DATABASE, POLL_READS
from services.polls.domain.errors import UnknownPoll
from services.polls.domain.poll import closing_time
from services.polls.domain.state import PollState
from services.polls.handlers.results import csv_of_results
from services.polls.operations.authorization import audience_of, load_authorized_poll
from services.polls.pages.manage_page import manage_page
from services.polls.pages.manage_words import describe_audience
from services.polls.pages.paths import poll_path
from services.polls.pages.results_view import VIEWS, ResultsView, read_view
from services.polls.storage.ballots import list_ballots
from services.polls.storage.comments import FIRST, list_comments
from shared.contract.scope import Action
from shared.guard import caller
from shared.runtime.http.cursor import read_cursor, write_cursor
from shared.runtime.http.path import require_path_uuid
from shared.runtime.http.query import query_of, read_query

ROWS: Final = 50
_Position = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Participant = Annotated[str, Meta(pattern=r"^[^\x00]*$")]


class Download(Struct, frozen=True):
    """How the table is written."""

    bom: bool = False


class Paging(Struct, frozen=True):
    """A page of comments or ballots."""

    cursor: str = ""


async def show_results(request: web.Request) -> web.Response:
    """Return the page with the results, as far as the token may see them."""
    state, bearer = await load_poll_with_results(request), caller(request)
    settings, place = state.poll.spec.settings, state.poll.place
    return _page(
        request,
        state,
        "manage_results.html",
        results=state.results(audience_of(bearer, place)),
        sees_all=bearer.may(Action.RESULTS, place),
        shown=view_of(request),
        views=[ResultsView(each) for each in VIEWS],
        status_word=state.status,
        ends_at=closing_time(settings),
        audience=describe_audience(settings),
        etag=state.etag,
    )


async def download_results(request: web.Request) -> web.Response:
    """Return the results as CSV, the same as the API's."""
    query, state = read_query(request, Download), await load_poll_with_results(request)
    results = state.results(audience_of(caller(request), state.poll.place))
    return csv_of_results(state.poll.id, results, with_bom=query.bom)


async def show_comments(request: web.Request) -> web.Response:
    """Return a page of comments, in an order that does not depend on when they were written."""
    query, state = read_query(request, Paging), await _load_for_all_results(request)
    first = read_cursor(query.cursor, tuple[_Position])[0] if query.cursor else FIRST
    found = await list_comments(request.app[DATABASE], state.poll.id, first, ROWS + 1)
    more = write_cursor((found[-1].position,)) if len(found) > ROWS else ""
    return _list_page(request, state, "comments", query, found[:ROWS], more)


async def show_ballots(request: web.Request) -> web.Response:
    """Return a page of ballots, by participant; or a sentence if the poll does not keep names."""
    query, state = read_query(request, Paging), await _load_for_all_results(request)
    after = read_cursor(query.cursor, tuple[_Participant])[0] if query.cursor else ""
    keeps_names = state.poll.spec.settings.save_participant_names
    found = await list_ballots(request.app[DATABASE], state.poll.id, after, ROWS + 1) if keeps_names else []
    more = write_cursor((found[ROWS - 1].participant,)) if len(found) > ROWS else ""
    return _list_page(request, state, "ballots", query, found[:ROWS], more)


async def load_poll_with_results(request: web.Request) -> PollState:
    """Return the poll in the path, of which the token may see results. Raise `UnknownPoll` or `InsufficientScope`."""
    return await load_authorized_poll(
        request.app[POLL_READS], caller(request), _poll_id(request), Action.READ, Action.RESULTS
    )


def view_of(request: web.Request) -> ResultsView:
    """Return how the query asks to show results, as a table by default."""
    query = query_of(request)
    return read_view(query.optional("results") or "table", query.optional("sort")) or ResultsView()


async def _load_for_all_results(request: web.Request) -> PollState:
    return await load_authorized_poll(request.app[POLL_READS], caller(request), _poll_id(request), Action.RESULTS)


def _list_page(
    request: web.Request, state: PollState, name: str, query: Paging, rows: object, more: str
) -> web.Response:
    """Return a page of comments or ballots, with the way to the first page and to the next one."""
    path = poll_path(state.poll.id, name)
    return _page(
        request,
        state,
        f"manage_{name}.html",
        rows=rows,
        titles={option.id: option.title for option in state.poll.spec.options},
        first_url=path if query.cursor else "",
        next_url=f"{path}?cursor={more}" if more else "",
    )


def _page(request: web.Request, state: PollState, template: str, **values: Any) -> web.Response:
    """Return a page about results. The title of a poll that the token may not read is left out."""
    bearer, poll = caller(request), state.poll
    may_read = bearer.may(Action.READ, poll.place)
    tabs = [("Results", "results")]
    if bearer.may(Action.RESULTS, poll.place):
        tabs += [("Comments", "comments"), ("Ballots", "ballots")]
    return manage_page(
        request,
        template,
        poll=poll,
        title=poll.spec.title if may_read else f"Poll {poll.id}",
        may_read=may_read,
        tabs=[(text, poll_path(poll.id, page), request.path.endswith(f"/{page}")) for text, page in tabs],
        **values,
    )


def _poll_id(request: web.Request) -> UUID:
    return require_path_uuid(request, "id", UnknownPoll)
