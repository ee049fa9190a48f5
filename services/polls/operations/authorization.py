"""Authorize callers for polls.

A caller that may do nothing with a poll gets `UnknownPoll`, so that it does not learn that the poll exists.
"""

from typing import Final
from uuid import UUID

from services.polls.domain.errors import UnknownPoll
from services.polls.domain.results import Audience
from services.polls.domain.state import PollState
from services.polls.storage.poll_reads import PollReads
from shared.contract.scope import Action, Place
from shared.guard import Caller

_REVEALING: Final = (Action.READ, Action.UPDATE, Action.DELETE, Action.VOTE, Action.RESULTS)
"""Actions that let a caller know which polls exist at a place. `CREATE` does not."""


def require_action(caller: Caller, place: Place, *actions: Action) -> None:
    """Raise `InsufficientScope` unless the caller may do one of the actions at the place.

    Raise `UnknownPoll` instead if the caller may not even know that the poll exists.
    """
    allowed = next((action for action in actions if caller.may(action, place)), None)
    if allowed is None and not any(caller.may(each, place) for each in _REVEALING):
        raise UnknownPoll
    caller.require(allowed or actions[0], place)


def audience_of(caller: Caller, place: Place, *, as_voter: bool = False) -> Audience:
    """Return the audience of results that the caller belongs to at the place."""
    if caller.may(Action.RESULTS, place):
        return Audience.EVERYTHING
    return Audience.VOTER if as_voter else Audience.PUBLIC


async def load_authorized_poll(reads: PollReads, caller: Caller, poll_id: UUID, *actions: Action) -> PollState:
    """Return the poll, if the caller may do one of the actions. Raise `UnknownPoll` or `InsufficientScope`."""
    state = await reads.select_poll(caller.site, poll_id)
    if state is None:
        raise UnknownPoll
    require_action(caller, state.poll.place, *actions)
    return state
