"""The events of a poll (Server-Sent Events), over as many connections as necessary."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, NamedTuple

from pollgate.client.errors import (
    ClientError,
    ConnectionFailed,
    OutcomeUnknown,
    RateLimited,
    RequestRejected,
)
from pollgate.client.poll_models import Poll, PollClosed, PollDeleted, PollEvent, PollUpdate, Results, ResultsUpdate
from pollgate.client.transport import Response, Transport

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
GIVE_UP_AFTER_S: Final = 60.0
"""How long a service that has responded before may fail to."""

_RETRY: Final = re.compile(rb"retry: ?(\d{1,9})")


class _Message(NamedTuple):
    """One event as it is sent."""

    id: str
    event: str
    data: bytes


async def follow(transport: Transport, path: str) -> AsyncGenerator[PollEvent, None]:
    """Yield the events of the stream at this path until the poll is deleted. Reconnect where a connection ends.

    Raise `RequestRejected` where the token is refused or the poll is gone, and any `ClientError` where the first
    connection fails or none succeeds within `GIVE_UP_AFTER_S`.
    """
    stream = _Stream(transport, path)
    while True:
        try:
            async with aclosing(stream.read_connection()) as events:
                async for event in events:
                    yield event
                    if isinstance(event, PollDeleted):
                        return
        except (ConnectionFailed, OutcomeUnknown, RequestRejected) as error:
            await stream.wait_after(error)
        else:
            await stream.pause()


class _Stream:
    """The state of one stream over all its connections."""

    def __init__(self, transport: Transport, path: str) -> None:
        self._transport = transport
        self._path = path
        self._last_id = ""
        self._has_begun = False
        self._failing_since: float | None = None
        self._asked_pause_s = 0.0
        self._pause_s = FIRST_PAUSE_S

    async def read_connection(self) -> AsyncGenerator[PollEvent, None]:
        """Yield the events of one connection."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        async with aclosing(self._transport.lines(self._path, {}, headers)) as lines:
            async for message in _messages(self._read_lines(lines)):
                self._last_id = message.id or self._last_id
                event = self._event(message)
                if event is not None:
                    self._pause_s = FIRST_PAUSE_S
                    yield event

    async def wait_after(self, error: ClientError) -> None:
        """Wait before the next connection. Raise the error where another attempt is useless."""
        now = asyncio.get_running_loop().time()
        self._failing_since = self._failing_since or now
        if not self._has_begun or (isinstance(error, RequestRejected) and not isinstance(error, RateLimited)):
            raise error
        wait_s = max(self._pause_s, error.retry_after_s or 0)
        if now + wait_s > self._failing_since + GIVE_UP_AFTER_S:
            raise error
        await self.pause(wait_s)

    async def pause(self, wait_s: float = 0) -> None:
        """Wait before the next connection, longer each time until there is an event."""
        await asyncio.sleep(max(wait_s, self._pause_s, self._asked_pause_s))
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    async def _read_lines(self, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for line in lines:
            self._has_begun, self._failing_since = True, None
            found = _RETRY.fullmatch(line.rstrip())
            if found:
                self._asked_pause_s = min(int(found[1]) / 1000, LONGEST_PAUSE_S)
            yield line

    def _event(self, message: _Message) -> PollEvent | None:
        """Return the event of a message; `None` for one that only a later release knows."""
        data = Response(200, {}, message.data)
        match message.event:
            case "poll":
                return PollUpdate(self._transport.decode(data, Poll))
            case "results":
                return ResultsUpdate(self._transport.decode(data, Results))
            case "closed":
                return PollClosed(self._transport.decode(data, Poll))
            case "deleted":
                return PollDeleted()
        return None


async def _messages(lines: AsyncIterator[bytes]) -> AsyncIterator[_Message]:
    """Yield the messages in the lines (HTML, "Server-sent events"); an incomplete last one is left out."""
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
