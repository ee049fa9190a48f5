"""What a caller may do, and see, of the polls that it asks for: 403 where it reaches them, else they do not exist."""

from uuid import UUID

from aiohttp import web
from msgspec import UNSET, UnsetType

from services.polls.app_keys import DATABASE
from services.polls.domain.poll import UnknownPoll
from services.polls.domain.results import Audience
from services.polls.domain.state import PollState
from services.polls.payloads.results import ResultsPayload
from services.polls.storage import polls
from shared.contract.scope import Action, Place
from shared.guard import Caller, caller
from shared.runtime.http.path import path_uuid

_TELLING = (Action.READ, Action.UPDATE, Action.DELETE, Action.VOTE, Action.RESULTS)
"""Whoever may do one of these at a place knows of the polls there."""


def require(request: web.Request, action: Action, place: Place) -> None:
    """Raises `InsufficientScope`, or `UnknownPoll` where the caller may not even know that there is a poll."""
    asking = caller(request)
    if not asking.may(action, place) and not any(asking.may(each, place) for each in _TELLING):
        raise UnknownPoll
    asking.require(action, place)


def sight_of(asking: Caller, place: Place, *, as_voter: bool = False) -> Audience:
    """As whom the caller sees results there."""
    if asking.may(Action.RESULTS, place):
        return Audience.EVERYTHING
    return Audience.VOTER if as_voter else Audience.PUBLIC


def expanded(request: web.Request, state: PollState, *, is_wanted: bool) -> ResultsPayload | UnsetType:
    """The results to put into a poll, where they are asked for."""
    if not is_wanted:
        return UNSET
    return ResultsPayload.of(state.results(sight_of(caller(request), state.poll.place)))


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
