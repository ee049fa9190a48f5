"""Follow a poll by its event stream."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import msgspec

from tests.support.stack import Polls


class ReceivedEvent(msgspec.Struct):
    """An event with decoded data."""

    id: str
    name: str
    data: Any


class Follower:
    """A client of an event stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self, within_s: float = 10) -> ReceivedEvent:
        """Return the next event. Raise `EOFError` at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(within_s):
            async for line in self.response.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                fields[name] = value
                if not name and "event" in fields:
                    return ReceivedEvent(fields.get("id", ""), fields["event"], msgspec.json.decode(fields["data"]))
        raise EOFError

    async def until(self, condition: Callable[[ReceivedEvent], bool]) -> ReceivedEvent:
        """Return the next event that meets the condition."""
        while not condition(event := await self.next()):
            pass
        return event

    async def end(self) -> None:
        """Wait for the end of the stream."""
        with suppress(aiohttp.ClientPayloadError, EOFError):
            while True:
                await self.next()


@asynccontextmanager
async def follow(polls: Polls, poll_id: str, last: str | None = None) -> AsyncGenerator[Follower, None]:
    """Follow a poll during the block, from the event with the id `last` if it is given."""
    headers = {"Authorization": f"Bearer {polls.token}"} | ({"Last-Event-ID": last} if last else {})
    async with polls.session.get(f"{polls.base}/v1/polls/{poll_id}/events", headers=headers) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
        yield Follower(response)
