"""Responses without an end, such as Server-Sent Events, that stop when their token stops working.

async with open_stream(request, {Action.READ}, place, {"Content-Type": "text/event-stream"}) as stream:
    while True:
        await stream.send(read_news() or b":\\n\\n")
        await stream.wait(10)
return stream.response
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiohttp import hdrs, web

from shared.contract.introspection import Grant
from shared.contract.scope import Action, Place
from shared.guard.caller import caller
from shared.guard.errors import GuardError, GuardUnavailable, InsufficientScope, TokenInvalid
from shared.guard.guard import Guard
from shared.guard.lease import Lease
from shared.guard.presentation import PRESENTED_TOKEN
from shared.guard.rules import RULES
from shared.guard.token_watch import TokenWatch
from shared.runtime.http.application import add_log_fields, disable_deadline
from shared.runtime.http.response_hooks import start_stream

SEND_LIMIT_S: Final = 10.0
"""How long a write may wait for a client that does not read."""
CONNECTION_CHECK_S: Final = 1.0
"""The interval at which an idle stream checks whether its client is still connected."""

GUARD: Final = web.AppKey("guard", Guard)
LEASE: Final = web.AppKey("lease", Lease)


class Streams:
    """The open streams of this process. They end before the process does."""

    def __init__(self) -> None:
        self.open: set[Stream] = set()
        self.is_ending = False

    def end(self) -> None:
        """End all open streams, and every stream that opens from now on."""
        self.is_ending = True
        for stream in self.open:
            stream.on_change()


STREAMS: Final = web.AppKey("streams", Streams)


class StreamEnded(Exception):
    """The stream has ended. `open_stream` handles it; a handler must not catch it."""


class Stream:
    """An open stream. Call `notify` from anywhere in the event loop to make `wait` return."""

    def __init__(self, request: web.Request, headers: Mapping[str, str], check_grant: Callable[[Grant], None]) -> None:
        app, token = request.app, request[PRESENTED_TOKEN].token
        self.response = web.StreamResponse(headers=headers)
        self.watch = TokenWatch(app[GUARD], app[LEASE], token, check_grant=check_grant, on_change=self.on_change)
        self._notified = asyncio.Event()
        self._request = request
        self._streams = app[STREAMS]

    async def send(self, data: bytes) -> None:
        """Send `data` in the event loop step in which the token was found valid. Raise `StreamEnded`."""
        await self._ensure_allowed()
        try:
            async with asyncio.timeout(SEND_LIMIT_S):
                await self.response.write(data)
        except TimeoutError:
            self.abort()
            raise StreamEnded("the client does not read the stream") from None
        except ConnectionError:
            raise StreamEnded("the client has disconnected") from None

    async def wait(self, limit_s: float) -> bool:
        """Wait for `notify`, for up to `limit_s` seconds. Return whether it was called.

        Raise `StreamEnded` as soon as the next `send` would.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while not await self._is_notified_within(CONNECTION_CHECK_S):
                    self._ensure_connected()
        was_notified = self._notified.is_set()
        self._notified.clear()
        await self._ensure_allowed()
        return was_notified

    def notify(self) -> None:
        """Make the current `wait` return, or the next one."""
        self._notified.set()

    def on_change(self) -> None:
        """Check the token at once; drop data that has not been sent yet.

        Data in the write buffer cannot be recalled when the guard confirms the change. So if there is any, close the
        connection and discard the buffer.
        """
        transport = self._request.transport
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()
        self.notify()

    def abort(self) -> None:
        """Close the connection without the final chunk, so that the client does not take the data for complete."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def finish(self) -> None:
        """Send the final chunk."""
        try:
            async with asyncio.timeout(SEND_LIMIT_S):
                await self.response.write_eof()
        except (TimeoutError, ConnectionError):
            self.abort()

    async def _is_notified_within(self, limit_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._notified.wait()
        return self._notified.is_set()

    def _ensure_connected(self) -> None:
        """Raise `StreamEnded` if the connection is lost: aiohttp does not report that to a handler that is waiting."""
        if self._request.transport is None:
            raise StreamEnded("the client has disconnected")

    async def _ensure_allowed(self) -> None:
        if self._request.method == hdrs.METH_HEAD:
            raise StreamEnded("a response to HEAD has no content")
        if self._streams.is_ending:
            raise StreamEnded("the service is stopping")
        self._ensure_connected()
        try:
            await self.watch.ensure_valid()
        except GuardUnavailable:
            raise StreamEnded("the token cannot be checked") from None
        except GuardError as error:
            raise StreamEnded(f"the token no longer allows it: {type(error).__name__}") from None


@asynccontextmanager
async def open_stream(
    request: web.Request, actions: Collection[Action], place: Place, headers: Mapping[str, str]
) -> AsyncGenerator[Stream, None]:
    """Open a 200 response whose body is sent within the block, for a token that allows all `actions` at `place`.

    Name every action that the sent data depends on: the stream ends when the token loses one of them.

    Raise `GuardError` before anything is sent if the token does not allow an action. Later, end the stream and leave
    the block if the token stops working or cannot be checked, if the client disconnects or does not read, or if the
    process stops. If another exception leaves the block, close the connection, since the status has been sent.

    Once a revocation has been answered, no data of the stream leaves this process; see `TokenWatch`.
    """
    for action in actions:
        caller(request).require(action, place)
    stream = Stream(request, headers, _grant_check(request, actions, place))
    with stream.watch:
        await stream.watch.ensure_valid()
        disable_deadline(request)
        await start_stream(request, stream.response)
        request.app[STREAMS].open.add(stream)
        try:
            with suppress(StreamEnded):  # the handler's first `send` or `wait` raises it again
                await stream.send(b"")
            yield stream
            await stream.finish()
        except StreamEnded as end:
            add_log_fields(request, stream_ended=str(end))
            await stream.finish()
        except BaseException:
            stream.abort()
            raise
        finally:
            request.app[STREAMS].open.discard(stream)


def _grant_check(request: web.Request, actions: Collection[Action], place: Place) -> Callable[[Grant], None]:
    """Return a check of what the stream needs from the token's grant at every `send`.

    The rate limit is not part of it: it counts requests, and this request has been counted.
    """
    bearer, presented, rules = caller(request), request[PRESENTED_TOKEN], request.app[RULES]

    def check_grant(grant: Grant) -> None:
        if (grant.token_id, grant.site) != (bearer.token_id, bearer.site):
            raise TokenInvalid
        rules.check_presentation(request, presented, grant)
        for action in actions:
            if not grant.covers(action, place):
                raise InsufficientScope(action, place.path)

    return check_grant
