"""Answers that go on for as long as their token works, and no byte longer: Server-Sent Events and the like.

async with open_stream(request, {Action.READ}, place, {"Content-Type": "text/event-stream"}) as stream:
    while True:
        await stream.send(what_has_changed() or b":\\n\\n")
        await stream.wait(10)
return stream.response
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiohttp import web

from shared.contract.introspection import Grant
from shared.contract.scope import Action, Place
from shared.guard.caller import caller
from shared.guard.errors import GuardError, GuardUnavailable, InsufficientScope, TokenInvalid
from shared.guard.guard import Guard
from shared.guard.lease import Lease
from shared.guard.presented import PRESENTED
from shared.guard.rules import RULES
from shared.guard.watch import Watch
from shared.runtime.http.application import add_log_fields, disable_deadline

SEND_LIMIT_S: Final = 10.0
"""How long a caller may leave unread what it was sent, where that is more than the connection holds."""
GONE_CHECK_S: Final = 1.0
"""How often a stream that has nothing to send looks whether its caller is still there."""

GUARD: Final = web.AppKey("guard", Guard)
LEASE: Final = web.AppKey("lease", Lease)


class Streams:
    """Those that are open in this process; they end before it does."""

    def __init__(self) -> None:
        self.open: set[Stream] = set()
        self.ending = False

    def end(self) -> None:
        """End them all, and each that is still begun."""
        self.ending = True
        for stream in self.open:
            stream.look()


STREAMS: Final = web.AppKey("streams", Streams)


class Ended(Exception):
    """The stream is over. `open_stream` takes it; a handler needs no more than not to."""


class Stream:
    """An open one. `woken` may be set by whoever has news for it; `wait` clears it."""

    def __init__(self, request: web.Request, headers: Mapping[str, str], demand: Callable[[Grant], None]) -> None:
        app, token = request.app, request[PRESENTED].token
        self.response = web.StreamResponse(headers=headers)
        self.woken = asyncio.Event()
        self.watch = Watch(app[GUARD], app[LEASE], token, demand=demand, tell=self.look)
        self._request = request
        self._streams = app[STREAMS]

    async def send(self, data: bytes) -> None:
        """Send, in the very step in which the token was found good. Raises `Ended`."""
        await self._require()
        try:
            async with asyncio.timeout(SEND_LIMIT_S):
                await self.response.write(data)
        except TimeoutError:
            self.cut()
            raise Ended("the caller does not read") from None
        except ConnectionError:
            raise Ended("the caller has gone") from None

    async def wait(self, limit_s: float) -> bool:
        """Wait for `woken`, so long at most; whether it came.

        Raises `Ended`, as soon as the token works no more as at the next `send`.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while not await self._woken_within(GONE_CHECK_S):
                    self._require_caller()
        was_woken = self.woken.is_set()
        self.woken.clear()
        await self._require()
        return was_woken

    def look(self) -> None:
        """Something has changed that may end the stream.

        What was handed to the connection before and has not left this process cannot be called back when the change is
        confirmed, so then the connection goes, and with it what waits there.
        """
        transport = self._request.transport
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()
        self.woken.set()

    def cut(self) -> None:
        """End the connection without a last word: the caller shall not take what it has for the whole."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def finish(self) -> None:
        """Say that this was all."""
        try:
            async with asyncio.timeout(SEND_LIMIT_S):
                await self.response.write_eof()
        except (TimeoutError, ConnectionError):
            self.cut()

    async def _woken_within(self, limit_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self.woken.wait()
        return self.woken.is_set()

    def _require_caller(self) -> None:
        """Nobody tells a handler of a connection that is lost, so it has to look."""
        if self._request.transport is None:
            raise Ended("the caller has gone")

    async def _require(self) -> None:
        if self._streams.ending:
            raise Ended("this process stops")
        self._require_caller()
        try:
            await self.watch.require()
        except GuardUnavailable:
            raise Ended("nothing can be known of the token") from None
        except GuardError as error:
            raise Ended(f"the token does not allow it any more: {type(error).__name__}") from None


@asynccontextmanager
async def open_stream(
    request: web.Request, actions: Collection[Action], place: Place, headers: Mapping[str, str]
) -> AsyncGenerator[Stream, None]:
    """An answer of 200 whose body goes on within the block, for a token that allows each of `actions` at `place`.

    Name every action on which it depends what is sent: a token that loses one of them loses the stream.

    Raises `GuardError` where the token does not, before anything is sent. What ends the stream later, `Ended`, leaves
    the block and is taken here: the token works no more or cannot be checked, the caller has gone or does not read, the
    process stops. Where another error leaves it the connection is cut, for the status has been sent.

    From the answer of a revocation on, nothing of the stream leaves this process: see `Watch`.
    """
    for action in actions:
        caller(request).require(action, place)
    stream = Stream(request, headers, _demand(request, actions, place))
    with stream.watch:
        await stream.watch.require()
        disable_deadline(request)
        await stream.response.prepare(request)
        request.app[STREAMS].open.add(stream)
        try:
            with suppress(Ended):  # is raised again by what the handler sends first
                await stream.send(b"")
            yield stream
            await stream.finish()
        except Ended as end:
            add_log_fields(request, ended=str(end))
            await stream.finish()
        except BaseException:
            stream.cut()
            raise
        finally:
            request.app[STREAMS].open.discard(stream)


def _demand(request: web.Request, actions: Collection[Action], place: Place) -> Callable[[Grant], None]:
    """What the request needs of its token's grant, all the time; how often it may be sent was asked once."""
    bearer, presented, rules = caller(request), request[PRESENTED], request.app[RULES]

    def demand(grant: Grant) -> None:
        if (grant.token_id, grant.site) != (bearer.token_id, bearer.site):
            raise TokenInvalid
        rules.require_way(request, presented, grant)
        for action in actions:
            if not grant.covers(action, place):
                raise InsufficientScope(action, place.path)

    return demand
