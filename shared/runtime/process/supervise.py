"""Run long-lived tasks with the application, and end the process if one of them crashes."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web

FATAL: Final = web.AppKey("fatal", asyncio.Event)
"""Set when a supervised task has crashed. The process then drains and ends with status 1."""

_log = structlog.get_logger()


@asynccontextmanager
async def supervise(
    app: web.Application, name: str, run: Callable[[], Coroutine[None, None, None]]
) -> AsyncGenerator[None, None]:
    """Run `run()` as a task during the block.

    If it raises, log the error and set the application's `FATAL`, if it has one.
    """

    async def watch() -> None:
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - the process must not continue without the task, whatever the error
            _log.critical("task crashed", task=name, exc_info=error)
            if FATAL in app:
                app[FATAL].set()

    task = asyncio.create_task(watch(), name=name)
    try:
        yield
    finally:
        while not task.done():  # a library may swallow one cancellation
            task.cancel()
            await asyncio.wait({task}, timeout=1.0)
