"""`python -m bench.bare`: a server that sends fixed answers and does nothing else, as a baseline for the services.

It is aiohttp on uvloop without middlewares, access log or limits. `BARE_ANSWERS` has the answers in JSON.
"""

import asyncio
import os
from typing import Final

import msgspec
import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct

HOST: Final = "127.0.0.1"


class Answer(Struct, frozen=True):
    """What is sent for a method and a path, which may contain `{name}` for any segment."""

    method: str
    path: str
    status: int
    headers: dict[str, str]
    body: str


READY_ANSWER: Final = Answer("GET", "/readyz", 200, {"Content-Type": "application/json"}, '{"checks":{"http":"ok"}}')
"""What `bench.stack` waits for."""


def build_app(answers: list[Answer]) -> web.Application:
    """Return an application with a route for each answer."""
    app = web.Application()
    for answer in (*answers, READY_ANSWER):
        app.router.add_route(answer.method, answer.path, handler_of(answer))
    return app


def handler_of(answer: Answer) -> Handler:
    """Return a handler that reads the body and sends the answer."""
    status, headers, body = answer.status, answer.headers, answer.body.encode()

    async def handle(request: web.Request) -> web.Response:
        if request.can_read_body:
            await request.read()
        return web.Response(status=status, headers=headers, body=body)

    return handle


async def _serve(port: int, answers: list[Answer]) -> None:
    runner = web.AppRunner(build_app(answers), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(
        _serve(int(os.environ["POLLS_PORT"]), msgspec.json.decode(os.environ["BARE_ANSWERS"], type=list[Answer]))
    )
