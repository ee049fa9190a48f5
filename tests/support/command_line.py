"""Run the `pollgate` command in this process and capture its output."""

import asyncio
import io
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest
from aiohttp import web

from pollgate.cli.main import main
from shared.runtime.process.serve import listen
from tests.support.stack import HOST


class CommandResult(NamedTuple):
    """The exit status and the output of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status in (0, 3), self.err
        return msgspec.json.decode(self.out)


class CommandLine:
    """Runs commands with an admin key of an authority, or with an access token of a polls service."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._patch = patch

    def use_authority(self, url: str, admin_key: str) -> None:
        """Set the authority and the admin key for the next commands."""
        self._patch.setenv("TOKEN_AUTHORITY_URL", url)
        self._patch.setenv("POLLGATE_ADMIN_KEY", admin_key)

    def use_polls(self, url: str, token: str) -> None:
        """Set the polls service and the token for the next commands."""
        self._patch.setenv("POLLS_URL", url)
        self._patch.setenv("POLLGATE_TOKEN", token)

    async def __call__(self, *arguments: str, stdin: str = "", terminal: bool = False) -> CommandResult:
        """Run a command. `stdin` is its standard input, which may be a `terminal`."""
        self._patch.setattr(sys, "stdin", _Input(stdin, terminal=terminal))
        status = await asyncio.to_thread(_status, arguments)
        return CommandResult(status, *self._capsys.readouterr())


class _Input(io.TextIOWrapper):
    def __init__(self, text: str, *, terminal: bool) -> None:
        super().__init__(io.BytesIO(text.encode()), encoding="utf-8")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def _status(arguments: Sequence[str]) -> int:
    try:
        main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


async def forward_request(session: aiohttp.ClientSession, url: str, request: web.Request) -> web.Response:
    """Send a request to the service at `url`. Return its response with the `ETag`, but without its other headers."""
    headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")}
    async with session.request(
        request.method, url + request.raw_path, data=await request.read(), headers=headers
    ) as answer:
        tag = {"ETag": answer.headers["ETag"]} if "ETag" in answer.headers else {}
        content = await answer.read()
        return web.Response(body=content, status=answer.status, content_type=answer.content_type, headers=tag)


class LossyProxy:
    """A proxy that forwards requests and drops the responses to the next `lost` changes.

    First it refuses one request with each status in `refusals`, with `retry_after`, without forwarding it. `requests`
    are the methods and paths of all requests.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._service = url
        self.url = ""
        self.lost = 0
        self.refusals: list[int] = []
        self.retry_after = "0"
        self.requests: list[str] = []

    async def forward(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.path}")
        if self.refusals:
            return web.Response(status=self.refusals.pop(0), headers={"Retry-After": self.retry_after})
        response = await forward_request(self._session, self._service, request)
        if self.lost and request.method != "GET" and request.transport is not None:
            self.lost -= 1
            request.transport.close()
        return response


@asynccontextmanager
async def run_lossy_proxy(url: str) -> AsyncGenerator[LossyProxy, None]:
    """Run a proxy for the service at `url` for the duration of the block."""
    async with aiohttp.ClientSession() as session:
        proxy = LossyProxy(session, url)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", proxy.forward)
        async with listen(app, HOST, 0) as port:
            proxy.url = f"http://{HOST}:{port}"
            yield proxy
