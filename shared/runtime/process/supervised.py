"""Long-lived tasks: started with the application, stopped with it, and never dead in silence."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web

FATAL: Final = web.AppKey("fatal", asyncio.Event)
"""Set when a supervised task has crashed; the process then drains and ends with an error rather than limp."""

_log = structlog.get_logger()


@asynccontextmanager
async def supervised(
    app: web.Application, name: str, run: Callable[[], Coroutine[None, None, None]]
) -> AsyncGenerator[None, None]:
    """Run `run()` beside the block and cancel it at the end.

    A crash is logged, and sets the application's `FATAL` where it has one.
    """

    async def watch() -> None:
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the process must not go on without the task
            _log.critical("a task has crashed", task=name, exc_info=error)
            if FATAL in app:
                app[FATAL].set()

    task = asyncio.create_task(watch(), name=name)
    try:
        yield
    finally:
        while not task.done():  # a library may swallow one cancellation
            task.cancel()
            await asyncio.wait({task}, timeout=1.0)
