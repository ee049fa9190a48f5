"""What a caller may do, and see, of the polls that it asks for: 403 where it reaches them, else they do not exist."""

from uuid import UUID

from aiohttp import web
from msgspec import UNSET, UnsetType

from services.polls.app_keys import DATABASE
from services.polls.domain.poll import UnknownPoll
from services.polls.domain.results import Results, Sight, results_of
from services.polls.domain.state import PollState
from services.polls.payloads.results import ResultsPayload
from services.polls.storage import polls
from shared.contract.scope import Action, Place
from shared.guard import Caller, caller
from shared.runtime.path import path_uuid

_TELLING = (Action.READ, Action.UPDATE, Action.DELETE, Action.VOTE, Action.RESULTS)
"""Whoever may do one of these at a place knows of the polls there."""


def require(request: web.Request, action: Action, place: Place) -> None:
    """Raises `InsufficientScope`, or `UnknownPoll` where the caller may not even know that there is a poll."""
    asking = caller(request)
    if not asking.may(action, place) and not any(asking.may(each, place) for each in _TELLING):
        raise UnknownPoll
    asking.require(action, place)


def results_for(asking: Caller, state: PollState, *, as_voter: bool = False) -> Results:
    """The results of the poll as far as the caller may see them."""
    sight = Sight.VOTER if as_voter else Sight.PUBLIC
    if asking.may(Action.RESULTS, state.poll.place):
        sight = Sight.EVERYTHING
    return results_of(state.poll.draft, state.tally, now=state.at, is_closed=state.is_closed, sight=sight)


def expanded(request: web.Request, state: PollState, *, is_wanted: bool) -> ResultsPayload | UnsetType:
    """The results to put into a poll, where they are asked for."""
    return ResultsPayload.of(results_for(caller(request), state)) if is_wanted else UNSET


def poll_id_of(request: web.Request) -> UUID:
    """The id in the path. Raises `UnknownPoll` for what cannot be one."""
    poll_id = path_uuid(request, "id")
    if poll_id is None:
        raise UnknownPoll
    return poll_id


async def reached_poll(request: web.Request, *actions: Action) -> PollState:
    """The poll of the path, where the caller may do one of the actions. Raises `UnknownPoll`, `InsufficientScope`."""
    state = await polls.select_poll(request.app[DATABASE], caller(request).site, poll_id_of(request))
    if state is None:
        raise UnknownPoll
    place = state.poll.place
    require(request, next((each for each in actions if caller(request).may(each, place)), actions[0]), place)
    return state
