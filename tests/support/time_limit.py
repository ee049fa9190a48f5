"""A time limit for async tests, after which the test fails and its fixtures are torn down.

pytest-timeout alone ends the whole process: its signal does not reach a test that awaits something on uvloop.
"""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

MARGIN_S: Final = 10.0
"""The time between this limit and that of pytest-timeout."""


def limit_time(item: pytest.Function) -> None:
    """Let an async test fail shortly before pytest-timeout ends the process."""
    mark = item.get_closest_marker("timeout")
    limit_s = float(mark.args[0] if mark else item.config.getoption("timeout") or item.config.getini("timeout"))
    if limit_s and inspect.iscoroutinefunction(item.obj):
        item.obj = _limit(item.obj, max(1.0, limit_s - MARGIN_S))


def _limit(test: Callable[..., Awaitable[None]], limit_s: float) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def run(*arguments: Any, **fixtures: Any) -> None:
        limit = asyncio.timeout(limit_s)
        try:
            async with limit:
                await test(*arguments, **fixtures)
        except TimeoutError:
            if limit.expired():
                pytest.fail(f"the test took longer than {limit_s:.0f} s")
            raise

    return run
