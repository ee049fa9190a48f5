"""Steps are cancelled after their limit, and only then."""

import asyncio
import time
from collections.abc import Awaitable

import pytest

from shared.runtime.process.time_limit import TimeLimits


async def run_within(limits: TimeLimits, seconds: float, step: Awaitable[str]) -> str:
    task = limits.start(seconds)
    try:
        return await step
    except asyncio.CancelledError:
        limits.require_time_left(task)
        raise
    finally:
        limits.end(task)


async def wait(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


async def test_step_beyond_its_limit_raises_timeout_error_and_not_before() -> None:
    started = time.monotonic()

    with pytest.raises(TimeoutError):
        await run_within(TimeLimits(), 0.1, wait(60))

    assert 0.1 <= time.monotonic() - started < 30


async def test_steps_of_different_tasks_have_their_own_limits() -> None:
    limits = TimeLimits()

    results = await asyncio.gather(
        *(run_within(limits, seconds, wait(60.4 - seconds)) for seconds in (0.1, 60, 0.1, 60)), return_exceptions=True
    )

    assert [isinstance(result, TimeoutError) or result for result in results] == [True, "done", True, "done"]


async def test_step_that_is_cancelled_from_elsewhere_raises_cancelled_error() -> None:
    task = asyncio.create_task(run_within(TimeLimits(), 5, wait(10)))
    await asyncio.sleep(0.01)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_step_that_is_cancelled_by_its_limit_and_from_elsewhere_raises_cancelled_error() -> None:
    is_cleaning_up = asyncio.Event()

    async def clean_up_slowly() -> str:
        try:
            return await wait(60)
        finally:
            is_cleaning_up.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(run_within(TimeLimits(), 0.01, clean_up_slowly()))
    await is_cleaning_up.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_extended_and_disabled_limits_leave_more_time() -> None:
    limits = TimeLimits()

    async def step(*, is_limited: bool) -> str:
        if is_limited:
            limits.extend(60)
        else:
            limits.disable()
        return await wait(0.3)

    assert await run_within(limits, 0.05, step(is_limited=True)) == "done"
    assert await run_within(limits, 0.05, step(is_limited=False)) == "done"


async def test_task_can_be_limited_again_after_a_timeout() -> None:
    limits = TimeLimits()

    with pytest.raises(TimeoutError):
        await run_within(limits, 0.01, wait(60))

    assert await run_within(limits, 60, wait(0.1)) == "done"
