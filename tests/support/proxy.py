"""A TCP proxy between a service and a server, which can stop forwarding, refuse or cut connections, or hide a close."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Literal
from urllib.parse import SplitResult, parse_qs, urlsplit, urlunsplit

Mode = Literal["ok", "black hole", "refuse", "no end"]


class Proxy:
    """Forward to a server, or to several in turn, skipping those that refuse.

    In mode `black hole`, new and existing connections stay open and nothing is forwarded. In mode `no end`, everything
    is forwarded except that the other side has closed the connection.
    """

    def __init__(self, *urls: str) -> None:
        self._upstreams = deque(map(urlsplit, urls))
        self._url = self._upstreams[0]
        self._open = asyncio.Event()
        self._ends = asyncio.Event()
        self._mode: Mode
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.pieces = False
        self.set_mode("ok")

    def url(self, like: str | None = None) -> str:
        """Return the URL of the proxy for the proxied URL, or for `like`, another URL of the same server."""
        parts = urlsplit(like) if like else self._url
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{self.port}", query=""))

    def set_mode(self, mode: Mode) -> None:
        """Change the mode; `refuse` also cuts existing connections."""
        self._mode = mode
        _set_event(self._open, on=mode in ("ok", "no end"))
        _set_event(self._ends, on=mode in ("ok", "refuse"))
        if mode == "refuse":
            for writer in self._writers:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError):
            if self._mode == "refuse":
                return writer.transport.abort()
            await self._open.wait()
            try:
                server_reader, server_writer = await self._connect()
            except OSError:
                return writer.transport.abort()
            self._writers.add(server_writer)
            await asyncio.gather(self._pump(reader, server_writer), self._pump(server_reader, writer))
        return None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(len(self._upstreams) - 1):
            self._upstreams.rotate()
            with suppress(OSError):
                return await _open(self._upstreams[0])
        self._upstreams.rotate()
        return await _open(self._upstreams[0])

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                for piece in (data[i : i + 64] for i in range(0, len(data), 64)) if self.pieces else (data,):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01 if self.pieces else 0)
        await self._ends.wait()
        writer.close()

    async def _track(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(asyncio.CancelledError):
            await self._serve(reader, writer)

    async def close(self) -> None:
        """Cut every connection."""
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _set_event(event: asyncio.Event, *, on: bool) -> None:
    event.set() if on else event.clear()


async def _open(url: SplitResult) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    socket_folder = parse_qs(url.query).get("host")
    if socket_folder:
        return await asyncio.open_unix_connection(f"{socket_folder[0]}/.s.PGSQL.5432")
    return await asyncio.open_connection(url.hostname, url.port)


@asynccontextmanager
async def run_proxy(*urls: str) -> AsyncGenerator[Proxy, None]:
    """Run a proxy to the servers of the URLs within the block."""
    proxy = Proxy(*urls)
    server = await asyncio.start_server(proxy._track, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
