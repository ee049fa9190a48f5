"""One kept connection to a guarded service, cheap enough for the caller to leave the machine to what is measured."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

ACCEPTED: Final = 200
REFUSED: Final = 403
LIMIT_S: Final = 5.0


class Place:
    """Where the polls of one issue are read, by a token's holder."""

    def __init__(self, port: int, endpoint_id: str) -> None:
        self.port = port
        self._path = f"/x1/{endpoint_id}?type=polls&workspace=PLAT&content=PLAT-1&token="

    def request(self, token: str) -> bytes:
        """A GET with the token, as it goes over the wire."""
        return f"GET {self._path}{token} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


class Answered(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class Connection:
    """Sends one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def get(self, request: bytes) -> int:
        """The status of the answer, once all of it is there. Raises `TimeoutError`, `EOFError`, `OSError`."""
        return (await self.send(request)).status

    async def send(self, request: bytes) -> Answered:
        """The answer, once all of it is there. Raises `TimeoutError`, `EOFError`, `OSError`."""
        async with asyncio.timeout(LIMIT_S):
            self._writer.write(request)
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
            body = await self._reader.readexactly(int(length or 0))  # an answer of 204 has none
        return Answered(int(head.split(b" ", 2)[1]), body)


@asynccontextmanager
async def connected(place: Place) -> AsyncGenerator[Connection, None]:
    """A connection for the length of the block."""
    async with connection_to(place.port) as connection:
        yield connection


@asynccontextmanager
async def connection_to(port: int) -> AsyncGenerator[Connection, None]:
    """A connection to whatever listens on the port, for the length of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
