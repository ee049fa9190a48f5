"""`/p/{link}/events`: results as they change, for the page of a voting link, as long as the link works."""

import asyncio
import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

import msgspec
from aiohttp import hdrs, web

from services.polls.app_keys import FOLLOWED_POLLS, VOTES
from services.polls.domain.ballot import Voter
from services.polls.domain.errors import LinkEnded
from services.polls.domain.results import Audience
from services.polls.domain.state import PollState
from services.polls.domain.voter_pass import VoterPass
from services.polls.handlers.events import HEADERS, HEARTBEAT, HEARTBEAT_S, RETRY
from services.polls.operations.stream_limiter import StreamLimiter
from services.polls.pages.poll import audience_of_voter, network_of_browser
from services.polls.pages.results_view import ResultsView, read_view
from services.polls.pages.voter_cookies import require_pass
from services.polls.tasks.followed_polls import FollowedPoll
from shared.runtime.http.application import disable_deadline
from shared.runtime.http.large_responses import write_within_limit
from shared.runtime.http.query import query_of
from shared.runtime.http.response_hooks import start_stream
from shared.runtime.pages.templates import Templates
from shared.runtime.process.clock import elapsed_s

CONNECTION_CHECK_S: Final = 1.0
"""The interval at which an idle stream checks whether its browser is still connected."""
MIN_INTERVAL_S: Final = 1.0
"""Between two events with results: people do not read faster, and each goes to every open page."""
ENDED: Final = b"event: ended\ndata: {}\n\n"
"""The last event: the link no longer works, or the poll was deleted."""
MAX_PER_PARTICIPANT: Final = 10
"""The most streams of one browser."""
ADDRESS_SHARE: Final = 0.25
"""The part of all streams that one address may take."""


class LiveResult(NamedTuple):
    """The event with results for one audience, and its id."""

    id: str
    event: bytes


Render = Callable[[PollState, Audience, LiveResult | None], LiveResult]


class ResultsRenderer:
    """Renders the event for each way of showing results. Create one instance per process."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._renders: dict[ResultsView, Render] = {}

    def of(self, shown: ResultsView) -> Render:
        """Return the function that renders this view, the same one each time."""
        return self._renders.setdefault(shown, lambda state, audience, _: self._render(shown, state, audience))

    def _render(self, shown: ResultsView, state: PollState, audience: Audience) -> LiveResult:
        """Render what a reader sees. A vote that is withheld from the audience changes nothing in it."""
        results = state.results(audience)
        html = self._templates.render("live_results.html", {"results": results, "shown": shown})
        data = msgspec.json.encode({"etag": state.etag, "html": html if results.is_visible else ""})
        event_id = hashlib.sha256(data).hexdigest()[:16]
        return LiveResult(event_id, b"id: %s\nevent: results\ndata: %s\n\n" % (event_id.encode(), data))


class LivePages:
    """The open streams of pages in this process, at most `limit`. They end before the process does."""

    def __init__(self, limit: int) -> None:
        self.open: set[LiveStream] = set()
        self.is_ending = False
        self._by_participant = StreamLimiter(limit=limit, limit_per_token=MAX_PER_PARTICIPANT)
        per_network = max(MAX_PER_PARTICIPANT, int(limit * ADDRESS_SHARE))
        self._by_network = StreamLimiter(limit=limit, limit_per_token=per_network)

    @contextmanager
    def count(self, participant: str, network: str) -> Generator[None, None, None]:
        """Count one stream while the block runs. Raise `TooManyStreams` or `StreamLimitReached`."""
        with self._by_participant.count(participant), self._by_network.count(network):
            yield

    def end(self) -> None:
        """End all open streams, and every stream that opens from now on."""
        self.is_ending = True
        for stream in self.open:
            stream.notify()


class LiveStream:
    """An open response with events. Call `notify` to make `wait` return."""

    def __init__(self, request: web.Request) -> None:
        self.response = web.StreamResponse(headers=HEADERS)
        self._request = request
        self._pages = request.app[LIVE_PAGES]
        self._notified = asyncio.Event()

    def notify(self) -> None:
        """Make the current `wait` return, or the next one."""
        self._notified.set()

    @property
    def is_open(self) -> bool:
        """Whether the browser is connected and the process is not stopping."""
        return self._request.transport is not None and not self._pages.is_ending

    async def send(self, data: bytes) -> None:
        """Send events. A browser that does not read is disconnected."""
        with suppress(ConnectionError):
            await write_within_limit(self._request, self.response, data)

    async def wait(self, limit_s: float) -> None:
        """Wait for `notify`, for up to `limit_s` seconds, while the stream is open."""
        end = elapsed_s() + limit_s
        while self.is_open and not self._notified.is_set() and elapsed_s() < end:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(CONNECTION_CHECK_S, max(0.0, end - elapsed_s()))):
                    await self._notified.wait()
        self._notified.clear()

    async def run(self, voter_pass: VoterPass, voter: Voter, shown: ResultsView) -> None:
        """Send events until the link or the poll ends, or the browser goes away."""
        pages, link = self._pages, voter.link
        if link is None:
            raise LinkEnded
        disable_deadline(self._request)
        await start_stream(self._request, self.response)
        pages.open.add(self)
        try:
            with self._request.app[FOLLOWED_POLLS].follow(voter.state, self.notify, link.id) as followed:
                await self.send(RETRY)
                seen = self._request.headers.get("Last-Event-ID", "")
                try:
                    await self._send_changes(followed, voter_pass, voter, shown, seen)
                except LinkEnded:
                    await self.send(ENDED)
            with suppress(ConnectionError):
                await self.response.write_eof()
        finally:
            pages.open.discard(self)

    async def _send_changes(
        self, followed: FollowedPoll, voter_pass: VoterPass, voter: Voter, shown: ResultsView, seen: str
    ) -> None:
        render, link_id = self._request.app[RESULTS_RENDERER].of(shown), voter_pass.link_id
        silent_since, results_at = elapsed_s(), -MIN_INTERVAL_S
        while self.is_open and not (followed.is_gone or followed.has_ended(link_id)):
            if elapsed_s() - results_at < MIN_INTERVAL_S:
                await self.wait(MIN_INTERVAL_S - (elapsed_s() - results_at))
                continue
            result = followed.render(render, audience_of_voter(voter))
            if result.id != seen and voter.has_voted:
                # The ballot may have been withdrawn, after which results may be withheld again.
                voter = await self._request.app[VOTES].load_link_voter(voter_pass)
                result = followed.render(render, audience_of_voter(voter))
            if result.id != seen:
                await self.send(result.event)
                seen, silent_since = result.id, elapsed_s()
                results_at = silent_since
            elif elapsed_s() - silent_since >= HEARTBEAT_S:
                await self.send(HEARTBEAT)
                silent_since = elapsed_s()
            await self.wait(max(0.0, HEARTBEAT_S - (elapsed_s() - silent_since)))
        if self.is_open:
            await self.send(ENDED)


async def follow_results(request: web.Request) -> web.StreamResponse:
    """Return 200 with events, until the link ends."""
    held = require_pass(request)
    voter = await request.app[VOTES].load_link_voter(held.voter_pass)
    if request.method == hdrs.METH_HEAD:
        return web.StreamResponse(headers=HEADERS)
    query = query_of(request)
    shown = read_view(query.optional("results") or "table", query.optional("sort"))
    participant = f"{held.voter_pass.link_id} {held.voter_pass.participant}"
    with request.app[LIVE_PAGES].count(participant, network_of_browser(request)):
        stream = LiveStream(request)
        await stream.run(held.voter_pass, voter, shown or ResultsView())
        return stream.response


RESULTS_RENDERER: Final = web.AppKey("results_renderer", ResultsRenderer)
LIVE_PAGES: Final = web.AppKey("live_pages", LivePages)
