"""Send raw bytes, for requests that HTTP libraries do not send."""

import asyncio
from email.parser import BytesParser
from typing import Any

from tests.support.stack import Answer, Caller


async def send_raw(caller: Caller, request: bytes, *, limit_s: float = 20.0) -> Answer:
    """Send the bytes unchanged and return the first response."""
    host, _, port = caller.base.removeprefix("http://").partition(":")
    async with asyncio.timeout(limit_s):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(request)
            status_line, _, head = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
            headers: Any = BytesParser().parsebytes(head)
            body = await reader.readexactly(int(headers["Content-Length"] or 0))
            return Answer(int(status_line.split()[1]), headers, body)
        finally:
            writer.close()
