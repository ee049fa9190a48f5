"""Send large responses in pieces, and only so many bytes at once, so that unread ones do not fill the memory."""

import asyncio
from typing import Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

LARGE_BYTES: Final = 256 * 1024
"""A body up to this size is sent as a whole and is not counted."""
MAX_UNSENT_BYTES: Final = 64 * 1024 * 1024
"""The most bytes of large bodies that a process is sending."""
PIECE_BYTES: Final = 64 * 1024
PIECE_LIMIT_S: Final = 10.0
"""The time that a client has to read a piece."""


class TooManyLargeResponses(Exception):
    """The large responses that are being sent would exceed `MAX_UNSENT_BYTES`: 503."""


class _Sending:
    """The number of bytes of the large bodies that are being sent."""

    def __init__(self) -> None:
        self.unsent = 0


class _Pieces(Payload):
    """A body that is written in pieces, each after the client has read most of those before.

    `write` raises `TimeoutError` if it does not; `shared/runtime/process/connections.py` then closes the connection.
    """

    def __init__(self, body: bytes, sending: _Sending) -> None:
        super().__init__(body)
        self._size = len(body)
        self._whole = memoryview(body)
        self._sending = sending

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text, for aiohttp."""
        return self._whole.tobytes().decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body. It is counted meanwhile."""
        self._sending.unsent += len(self._whole)
        try:
            for start in range(0, len(self._whole), PIECE_BYTES):
                async with asyncio.timeout(PIECE_LIMIT_S):
                    await writer.write(self._whole[start : start + PIECE_BYTES])
        finally:
            self._sending.unsent -= len(self._whole)


async def write_within_limit(request: web.Request, response: web.StreamResponse, data: bytes) -> bool:
    """Write a part of a stream. Return whether the client has read in time; if not, the connection is closed."""
    try:
        async with asyncio.timeout(PIECE_LIMIT_S):
            await response.write(data)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        return False
    return True


class LargeResponses:
    """The large responses of one application."""

    def __init__(self) -> None:
        self._sending = _Sending()

    def limit(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let a large body be sent in pieces. Raise `TooManyLargeResponses` for one that would be too much."""
        body = getattr(response, "body", None)  # a stream has none
        if isinstance(body, bytes) and len(body) > LARGE_BYTES and request.method != hdrs.METH_HEAD:
            if self._sending.unsent + len(body) > MAX_UNSENT_BYTES:
                raise TooManyLargeResponses
            response.body = _Pieces(body, self._sending)  # type: ignore[attr-defined]
