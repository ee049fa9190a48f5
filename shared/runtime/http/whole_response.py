"""A response that is sent in one piece.

aiohttp prepares every response for compression, cookies and streams, none of which a small body needs.
"""

from typing import Final

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time

MAX_BYTES: Final = 32 * 1024
"""A smaller body is sent in one piece. A transport takes it without making its writer wait."""


class WholeResponse(web.Response):
    """A response with a body of bytes that are known, without cookies and compression. Its status allows a body."""

    is_finished = False
    """Whether the application has called its response hooks. If not, aiohttp's signal has to call them."""
    _is_kept_alive: bool | None = None

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open."""
        return super().keep_alive if self._is_kept_alive is None else self._is_kept_alive

    def may_be_sent_by(self, request: web.BaseRequest) -> bool:
        """Return whether `send` sends this request the same bytes as aiohttp would."""
        transport = request.transport
        return (
            self.is_finished
            and request.version == HttpVersion11
            and request.method != hdrs.METH_HEAD
            and transport is not None
            and not transport.get_write_buffer_size()
            and isinstance(self.body, bytes)
            and len(self.body) < MAX_BYTES
        )

    async def send(self, request: web.BaseRequest) -> None:
        """Send the response. Raise `ConnectionError` if the client has disconnected."""
        body, headers, writer = self.body, self.headers, request.writer
        headers[hdrs.CONTENT_LENGTH] = str(len(body))  # type: ignore[arg-type]
        headers[hdrs.DATE] = rfc822_formatted_time()
        self._is_kept_alive = super().keep_alive is not False and request.keep_alive
        if not self._is_kept_alive:
            headers[hdrs.CONNECTION] = "close"
        await writer.write_headers(f"HTTP/1.1 {self.status} {self.reason}", headers)
        await writer.write_eof(body)  # type: ignore[arg-type]
