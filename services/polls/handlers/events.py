"""`/v1/polls/{id}/events`: a stream of events when a poll changes, as long as the token works."""

from typing import Final

from aiohttp import hdrs, web

from services.polls.app_keys import FOLLOWED_POLLS, POLL_READS, STREAM_LIMITER
from services.polls.domain.errors import UnknownPoll
from services.polls.domain.state import PollState
from services.polls.handlers.descriptions import UNKNOWN, forbidden
from services.polls.operations.authorization import audience_of, load_authorized_poll
from services.polls.payloads import examples
from services.polls.payloads.events import Event, Position, Snapshot
from services.polls.payloads.parameters import PollPath, ResumeHeaders
from shared.contract.scope import Action
from shared.guard import Stream, caller, open_stream
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.path import require_path_uuid
from shared.runtime.process.clock import elapsed_s

EVENT_STREAM: Final = "text/event-stream"
HEARTBEAT_S: Final = 5.0
"""After this time without an event a comment is sent, so that proxies keep the connection open."""
HEADERS: Final = {"Content-Type": EVENT_STREAM, "X-Accel-Buffering": "no"}
RETRY: Final = b"retry: 2000\n\n"
HEARTBEAT: Final = b":\n\n"


@endpoint(
    summary="Follow a poll",
    description="Server-sent events: `poll` when the poll is edited, `results` when the results that the token may see "
    "change, `closed`, and `deleted`, which is the last. The stream starts with the current state, and ends with its "
    "token.",
    tags=("results",),
    path=PollPath,
    headers=ResumeHeaders,
    responses={
        200: Response(
            description="A stream of events.", body=str, media_type=EVENT_STREAM, example=examples.FIRST_EVENT
        )
    },
    problems={
        **UNKNOWN,
        **forbidden(Action.READ),
        429: "The token has the maximum number of event streams open, or exceeds its rate limit; see `Retry-After`.",
    },
)
async def follow_poll(request: web.Request) -> web.StreamResponse:
    """Return 200 with events, until the poll is deleted or the token stops working."""
    bearer = caller(request)
    state = await load_authorized_poll(
        request.app[POLL_READS], bearer, require_path_uuid(request, "id", UnknownPoll), Action.READ
    )
    if request.method == hdrs.METH_HEAD:
        return web.StreamResponse(headers=HEADERS)
    place = state.poll.place
    actions = {action for action in (Action.READ, Action.RESULTS) if bearer.may(action, place)}
    with request.app[STREAM_LIMITER].count(bearer.token_id):
        async with open_stream(request, actions, place, HEADERS) as stream:
            await _send_events(stream, request, state)
        return stream.response


async def _send_events(stream: Stream, request: web.Request, state: PollState) -> None:
    seen = Position.read(request.headers.get("Last-Event-ID", ""))
    audience = audience_of(caller(request), state.poll.place)
    await stream.send(RETRY)
    silent_since = elapsed_s()
    with request.app[FOLLOWED_POLLS].follow(state, stream.notify) as followed:
        while not followed.is_gone:
            events = list(followed.render(Snapshot.of, audience).events_since(seen))
            if events or elapsed_s() - silent_since >= HEARTBEAT_S:
                await stream.send(b"".join(event.encode() for event in events) or HEARTBEAT)
                silent_since = elapsed_s()
            seen = events[-1].position if events else seen
            await stream.wait(max(0.0, HEARTBEAT_S - (elapsed_s() - silent_since)))
        await stream.send(Event("deleted", b"{}", seen).encode())
