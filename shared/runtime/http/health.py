"""`/livez`: the process answers. `/readyz`: so does what it cannot work without."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from aiohttp import web

from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.routes import PUBLIC, Route, add_routes

Check = Callable[[], Awaitable[None]]
"""Returns where all is well, else raises whatever says why not."""

CHECK_LIMIT_S: Final = 1.0
KEPT_S: Final = 0.5


def add_health(app: web.Application, required: Mapping[str, Check], reported: Mapping[str, Check]) -> None:
    """Mount both routes. A failing `required` check makes `/readyz` 503; a failing `reported` one is only shown."""

    known = _Checks({**required, **reported})

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        answers = await known.answers()
        ready = all(answers[name] == "ok" for name in required)
        document = {"status": "ready" if ready else "unready", "checks": answers}
        return web.Response(
            status=200 if ready else 503, body=msgspec.json.encode(document), content_type="application/json"
        )

    add_routes(
        app,
        [
            Route(method, path, Endpoint(handler), PUBLIC, logs_success=False)
            for path, handler in {"/livez": livez, "/readyz": readyz}.items()
            for method in ("GET", "HEAD")
        ],
    )


class _Checks:
    """Asks once for all who want to know at about the same time, so that they cost what is asked no more than one."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[dict[str, str]] | None = None

    async def answers(self) -> dict[str, str]:
        """`ok`, or what is wrong, by the name of the check."""
        now = asyncio.get_running_loop().time()
        if self._asking is None or (self._asking.done() and now - self._asked_at >= KEPT_S):
            self._asked_at, self._asking = now, asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> dict[str, str]:
        return dict(zip(self._checks, await asyncio.gather(*map(_answer, self._checks.values())), strict=True))


async def _answer(check: Check) -> str:
    try:
        await asyncio.wait_for(check(), CHECK_LIMIT_S)
    except TimeoutError:
        return "no answer in time"
    except Exception as error:  # noqa: BLE001 - whatever is wrong, it is what the check has found
        return type(error).__name__
    return "ok"
