"""Someone who follows a poll's events."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import msgspec

from tests.support.stack import Polls


class Received(msgspec.Struct):
    """One event."""

    id: str
    name: str
    data: Any


class Follower:
    """Someone who follows a poll."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self, within_s: float = 10) -> Received:
        """The next event. Raises `EOFError` at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(within_s):
            async for line in self.response.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                fields[name] = value
                if not name and "event" in fields:
                    return Received(fields["id"], fields["event"], msgspec.json.decode(fields["data"]))
        raise EOFError

    async def until(self, is_it: Callable[[Received], bool]) -> Received:
        """The first of the next events that is the one."""
        while not is_it(event := await self.next()):
            pass
        return event

    async def end(self) -> None:
        """Wait for it."""
        with suppress(aiohttp.ClientPayloadError, EOFError):
            while True:
                await self.next()


@asynccontextmanager
async def following(polls: Polls, poll_id: str, last: str | None = None) -> AsyncGenerator[Follower, None]:
    """A follower for the length of the block."""
    headers = {"Authorization": f"Bearer {polls.token}"} | ({"Last-Event-ID": last} if last else {})
    async with polls.session.get(f"{polls.base}/v1/polls/{poll_id}/events", headers=headers) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
        yield Follower(response)
