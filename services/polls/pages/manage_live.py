"""`/manage/polls/{id}/results/events`: results as they change, as long as the token and the session work."""

from contextlib import suppress
from typing import Final

from aiohttp import hdrs, web

from services.polls.app_keys import FOLLOWED_POLLS, SESSION_SECRET, SESSIONS, STREAM_LIMITER
from services.polls.domain.state import PollState
from services.polls.handlers.events import HEADERS, HEARTBEAT, HEARTBEAT_S, RETRY
from services.polls.operations.authorization import audience_of
from services.polls.pages.live_results import ENDED, RESULTS_RENDERER
from services.polls.pages.manage_results import load_poll_with_results, view_of
from shared.contract.scope import Action
from shared.guard import Stream, caller, open_stream
from shared.runtime.postgres.database import DatabaseUnavailable
from shared.runtime.process.clock import elapsed_s

SESSION_CHECK_S: Final = 10.0
"""The interval at which a stream checks whether its session is over. Its token is watched by the guard."""


async def follow_results(request: web.Request) -> web.StreamResponse:
    """Return 200 with events, until the token stops working, the session is over, or the poll is deleted."""
    state, bearer = await load_poll_with_results(request), caller(request)
    if request.method == hdrs.METH_HEAD:
        return web.StreamResponse(headers=HEADERS)
    place = state.poll.place
    actions = {action for action in (Action.READ, Action.RESULTS) if bearer.may(action, place)}
    with request.app[STREAM_LIMITER].count(bearer.token_id):
        async with open_stream(request, actions, place, HEADERS) as stream:
            await _send_results(stream, request, state)
        return stream.response


async def _send_results(stream: Stream, request: web.Request, state: PollState) -> None:
    render = request.app[RESULTS_RENDERER].of(view_of(request))
    audience = audience_of(caller(request), state.poll.place)
    seen = request.headers.get("Last-Event-ID", "")
    await stream.send(RETRY)
    silent_since = checked_at = elapsed_s()
    with request.app[FOLLOWED_POLLS].follow(state, stream.notify) as followed:
        while not followed.is_gone:
            if elapsed_s() - checked_at >= SESSION_CHECK_S:
                if await _is_session_over(request):
                    return
                checked_at = elapsed_s()
            result = followed.render(render, audience)
            if result.id != seen or elapsed_s() - silent_since >= HEARTBEAT_S:
                await stream.send(result.event if result.id != seen else HEARTBEAT)
                seen, silent_since = result.id, elapsed_s()
            await stream.wait(max(0.0, HEARTBEAT_S - (elapsed_s() - silent_since)))
        await stream.send(ENDED)


async def _is_session_over(request: web.Request) -> bool:
    with suppress(DatabaseUnavailable):
        return not await request.app[SESSIONS].is_open(request[SESSION_SECRET])
    return False
