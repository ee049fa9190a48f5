"""Receive only so many bytes of large bodies at once, so that bodies that never end do not fill the memory."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

LARGE_BYTES: Final = 8 * 1024
"""A body up to this size is not counted. Introspections and most syncs are smaller."""
MAX_INCOMPLETE_BYTES: Final = 64 * 1024 * 1024
"""The most bytes of large bodies that a process is receiving. They take about twice as much memory."""


class TooManyLargeRequests(Exception):
    """The large bodies that are being received would exceed `MAX_INCOMPLETE_BYTES`: 503."""


class LargeRequests:
    """The large bodies of requests that one application is receiving."""

    def __init__(self, max_incomplete_bytes: int = MAX_INCOMPLETE_BYTES) -> None:
        self._max_incomplete_bytes = max_incomplete_bytes
        self._incomplete = 0

    @contextmanager
    def receive(self, request: web.Request, limit: int) -> Generator[None, None, None]:
        """Count the body during the block, in which it is received, without a Content-Length as one of `limit` bytes.

        Raise `TooManyLargeRequests` for one that would be too much.
        """
        length = limit if request.content_length is None else request.content_length
        counted = length if length > LARGE_BYTES else 0
        if counted and self._incomplete + counted > self._max_incomplete_bytes:
            raise TooManyLargeRequests
        self._incomplete += counted
        try:
            yield
        finally:
            self._incomplete -= counted
