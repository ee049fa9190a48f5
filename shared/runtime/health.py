"""`/livez`: the process answers. `/readyz`: so does what it cannot work without."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from aiohttp import web

Check = Callable[[], Awaitable[None]]
"""Returns where all is well, else raises whatever says why not."""

CHECK_LIMIT_S: Final = 1.0
HEALTH_ROUTES: Final = frozenset({"/livez", "/readyz"})


def add_health(app: web.Application, required: Mapping[str, Check], reported: Mapping[str, Check]) -> None:
    """Mount both routes. A failing `required` check makes `/readyz` 503; a failing `reported` one is only shown."""

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        checks = {**required, **reported}
        answers = dict(zip(checks, await asyncio.gather(*map(_answer, checks.values())), strict=True))
        ready = all(answers[name] == "ok" for name in required)
        document = {"status": "ready" if ready else "unready", "checks": answers}
        return web.Response(
            status=200 if ready else 503, body=msgspec.json.encode(document), content_type="application/json"
        )

    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)


async def _answer(check: Check) -> str:
    try:
        await asyncio.wait_for(check(), CHECK_LIMIT_S)
    except TimeoutError:
        return "no answer in time"
    except Exception as error:  # noqa: BLE001 - whatever is wrong, it is what the check has found
        return type(error).__name__
    return "ok"
