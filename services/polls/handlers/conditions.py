"""The entity tag of a poll, and what a request makes of it."""

from collections.abc import Callable

from aiohttp import web

from services.polls.domain.poll import PollChanged
from services.polls.domain.state import PollState
from services.polls.handlers.asking import require
from services.polls.payloads.polls import etag_of
from shared.contract.scope import Action
from shared.runtime.http.preconditions import IfMatch, if_match


def require_unchanged(state: PollState, expected: IfMatch | None) -> None:
    """Raises `PollChanged` where the poll is not the expected one."""
    if expected is not None and not expected.allows(etag_of(state)):
        raise PollChanged


def required_by(request: web.Request, action: Action) -> Callable[[PollState], None]:
    """What must be so of a poll before the request may do `action` to it: scope first, then `If-Match`."""
    expected = if_match(request)

    def check(state: PollState) -> None:
        require(request, action, state.poll.place)
        require_unchanged(state, expected)

    return check
