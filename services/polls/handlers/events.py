"""`/v1/polls/{id}/events`: a poll as it changes, for as long as the token works."""

from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from services.polls.app_keys import FOLLOWED, STREAM_PLACES
from services.polls.domain.state import PollState
from services.polls.handlers.asking import reached_poll, sight_of
from services.polls.handlers.parameters import UNKNOWN, PollPath, forbidden
from services.polls.payloads import examples
from services.polls.payloads.events import Event, News, Position
from shared.contract.scope import Action
from shared.guard import Stream, caller, open_stream
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.process.clock import elapsed_s

EVENT_STREAM: Final = "text/event-stream"
SIGN_OF_LIFE_S: Final = 5.0
"""After so long without news a comment is sent, so that nobody on the way takes the connection for dead."""
HEADERS: Final = {"Content-Type": EVENT_STREAM, "X-Accel-Buffering": "no"}
RETRY: Final = b"retry: 2000\n\n"
SIGN_OF_LIFE: Final = b":\n\n"


class Resume(Struct, frozen=True):
    """Where a follower goes on."""

    last_event_id: Annotated[
        str | None, Meta(description="the id of the last event received; what differs since is sent at once")
    ] = msgspec.field(default=None, name="Last-Event-ID")


@endpoint(
    summary="Follow a poll",
    description="Server-Sent Events: `poll` when it is edited, `results` when those that the token may see change, "
    "`closed`, and `deleted`, which is the last. At first they are sent as they are. The stream ends with its token.",
    tags=("results",),
    path=PollPath,
    headers=Resume,
    responses={
        200: Response(
            description="Events, without an end.", body=str, media_type=EVENT_STREAM, example=examples.FIRST_EVENT
        )
    },
    problems={
        **UNKNOWN,
        **forbidden(Action.READ),
        429: "The token follows as many polls as it may, or is used too often; see `Retry-After`.",
    },
)
async def follow_poll(request: web.Request) -> web.StreamResponse:
    """200 with what changes, until the poll is gone or the token works no more."""
    state, asking = await reached_poll(request, Action.READ), caller(request)
    place = state.poll.place
    actions = {action for action in (Action.READ, Action.RESULTS) if asking.may(action, place)}
    with request.app[STREAM_PLACES].taken(asking.token_id):
        async with open_stream(request, actions, place, HEADERS) as stream:
            await _follow(stream, request, state)
        return stream.response


async def _follow(stream: Stream, request: web.Request, state: PollState) -> None:
    seen = Position.read(request.headers.get("Last-Event-ID", ""))
    sight = sight_of(caller(request), state.poll.place)
    await stream.send(RETRY)
    quiet_since = elapsed_s()
    with request.app[FOLLOWED].follow(state, stream.notify) as followed:
        while not followed.is_gone:
            news = list(followed.made(News.of, sight).since(seen))
            if news or elapsed_s() - quiet_since >= SIGN_OF_LIFE_S:
                await stream.send(b"".join(event.encoded() for event in news) or SIGN_OF_LIFE)
                quiet_since = elapsed_s()
            seen = news[-1].position if news else seen
            await stream.wait(max(0.0, SIGN_OF_LIFE_S - (elapsed_s() - quiet_since)))
        await stream.send(Event("deleted", b"{}", seen).encoded())
