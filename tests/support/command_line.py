"""The `pollgate` command within this process, against a running authority, with what it prints."""

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

from pollgate.__main__ import main
from shared.runtime.serve import listening
from tests.support.stack import HOST


class Ran(NamedTuple):
    """How a command ended: its exit status, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status in (0, 3), self.err
        return msgspec.json.decode(self.out)


class CommandLine:
    """Runs commands one after the other, as the administrator of the authority at `url`."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._patch = patch

    def manage(self, url: str, admin_key: str) -> None:
        """Whom the commands speak to from now on."""
        self._patch.setenv("TOKEN_AUTHORITY_URL", url)
        self._patch.setenv("POLLGATE_ADMIN_KEY", admin_key)

    async def __call__(self, *arguments: str, given: str = "", terminal: bool = False) -> Ran:
        """Run one; `given` is its standard input, where somebody sits whom it can ask if that is a `terminal`."""
        self._patch.setattr(sys, "stdin", _Input(given, terminal=terminal))
        status = await asyncio.to_thread(_status, arguments)
        return Ran(status, *self._capsys.readouterr())


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


class ForgetfulProxy:
    """In front of an authority: passes requests on, and loses the answers to the next `lost` that change something."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._authority = url
        self.url = ""
        self.lost = 0

    async def pass_on(self, request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")}
        async with self._session.request(
            request.method, self._authority + request.path_qs, data=await request.read(), headers=headers
        ) as answer:
            content = await answer.read()
        if self.lost and request.method != "GET" and request.transport is not None:
            self.lost -= 1
            request.transport.close()
        return web.Response(body=content, status=answer.status, content_type=answer.content_type)


@asynccontextmanager
async def forgetful_proxy(url: str) -> AsyncGenerator[ForgetfulProxy, None]:
    """One in front of the authority at `url`, for the length of the block."""
    async with aiohttp.ClientSession() as session:
        proxy = ForgetfulProxy(session, url)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", proxy.pass_on)
        async with listening(app, HOST, 0) as port:
            proxy.url = f"http://{HOST}:{port}"
            yield proxy
