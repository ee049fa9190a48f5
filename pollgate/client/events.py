"""The events of a poll (Server-Sent Events), over as many connections as it takes."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, NamedTuple

from pollgate.client.poll_models import Poll, PollClosed, PollDeleted, PollEvent, PollIs, Results, ResultsAre
from pollgate.client.retries import TOO_MANY_REQUESTS
from pollgate.client.transport import Answer, Failure, Refused, Transport

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
GIVE_UP_AFTER_S: Final = 60.0
"""How long a service that has answered before may fail to."""

_RETRY: Final = re.compile(rb"retry: ?(\d{1,9})")


class _Message(NamedTuple):
    """One event as it is sent."""

    id: str
    event: str
    data: bytes


async def follow(transport: Transport, path: str) -> AsyncGenerator[PollEvent, None]:
    """What is told at this path until the poll is gone. Where a connection ends another one goes on from there.

    Raises `Sentence` where the token is refused, the first connection fails, or none succeeds for a minute.
    """
    following = _Following(transport, path)
    while True:
        try:
            async with aclosing(following.one_connection()) as events:
                async for event in events:
                    yield event
                    if isinstance(event, PollDeleted):
                        return
        except Failure as failure:
            await following.bear(failure)
        else:
            await following.pause()


class _Following:
    """How far the events are known, and how it goes."""

    def __init__(self, transport: Transport, path: str) -> None:
        self._transport = transport
        self._path = path
        self._last_id = ""
        self._has_begun = False
        self._failing_since: float | None = None
        self._asked_pause_s = 0.0
        self._pause_s = FIRST_PAUSE_S

    async def one_connection(self) -> AsyncGenerator[PollEvent, None]:
        """What comes over one connection."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        async with aclosing(self._transport.lines(self._path, {}, headers)) as lines:
            async for message in _messages(self._heard(lines)):
                self._last_id = message.id or self._last_id
                event = self._event(message)
                if event is not None:
                    self._pause_s = FIRST_PAUSE_S
                    yield event

    async def bear(self, failure: Failure) -> None:
        """Wait until it may be tried again. Raises the failure where that is of no use."""
        now = asyncio.get_running_loop().time()
        self._failing_since = self._failing_since or now
        if isinstance(failure, Refused) and failure.status != TOO_MANY_REQUESTS:
            raise self._told(failure) from None
        if not self._has_begun:
            raise failure
        wait_s = max(self._pause_s, failure.retry_after_s or 0)
        if now + wait_s > self._failing_since + GIVE_UP_AFTER_S:
            raise failure
        await self.pause(wait_s)

    async def pause(self, wait_s: float = 0) -> None:
        """Wait before the next connection, longer each time until there is news."""
        await asyncio.sleep(max(wait_s, self._pause_s, self._asked_pause_s))
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    async def _heard(self, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for line in lines:
            self._has_begun, self._failing_since = True, None
            found = _RETRY.fullmatch(line.rstrip())
            if found:
                self._asked_pause_s = min(int(found[1]) / 1000, LONGEST_PAUSE_S)
            yield line

    def _told(self, refusal: Refused) -> Refused:
        if not self._has_begun:
            return refusal
        if refusal.kind == "unknown-poll":
            told = "the poll has been deleted, or the token does not reach it any more"
        else:
            told = f"the events have ended: {refusal}"
        return Refused(told, refusal.status, refusal.kind)

    def _event(self, message: _Message) -> PollEvent | None:
        """What the message says; `None` for what a later release may tell."""
        told = Answer(200, {}, message.data)
        match message.event:
            case "poll":
                return PollIs(self._transport.read(told, Poll))
            case "results":
                return ResultsAre(self._transport.read(told, Results))
            case "closed":
                return PollClosed(self._transport.read(told, Poll))
            case "deleted":
                return PollDeleted()
        return None


async def _messages(lines: AsyncIterator[bytes]) -> AsyncIterator[_Message]:
    """The messages that the lines make up (HTML, "Server-sent events"); a last one that is not whole is left out."""
    fields: dict[str, list[bytes]] = {}
    async for line in lines:
        text = line.rstrip(b"\r")
        if text:
            name, _, value = text.partition(b":")
            fields.setdefault(name.decode(errors="replace"), []).append(value.removeprefix(b" "))
            continue
        if "event" in fields:
            number, event = (fields.get(name, [b""])[-1].decode(errors="replace") for name in ("id", "event"))
            yield _Message(number, event, b"\n".join(fields.get("data", [])))
        fields = {}
