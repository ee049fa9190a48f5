"""Limit the time of many short steps with one timer for all of them.

`asyncio.timeout` sets and cancels a timer of the event loop for each step, which costs 5 µs. A request has several
limits and reaches none of them, so here each limit is noted, and one timer looks for those that have been reached.
"""

import asyncio
import time
from typing import Any, Final

CHECK_EVERY_S: Final = 0.05
"""A step may take this much longer than its limit."""


class TimeLimits:
    """Limits that share a timer, at most one for each task. Create one instance per event loop."""

    def __init__(self) -> None:
        self._ends: dict[asyncio.Task[Any], float] = {}
        self._expired: dict[asyncio.Task[Any], int] = {}
        self._has_timer = False

    def start(self, seconds: float) -> "asyncio.Task[Any]":
        """Limit a step of the current task, which is cancelled after `seconds`. Return the task.

        task = limits.start(2.5)
        try:
            await step()
        except asyncio.CancelledError:
            limits.require_time_left(task)
            raise
        finally:
            limits.end(task)
        """
        task = _current_task()
        self._ends[task] = time.monotonic() + seconds
        if not self._has_timer:
            self._set_timer()
        return task

    def require_time_left(self, task: "asyncio.Task[Any]") -> None:
        """Raise `TimeoutError` if the task was cancelled by its limit, and not from elsewhere too."""
        if task in self._expired and task.uncancel() <= self._expired[task]:
            raise TimeoutError from None

    def end(self, task: "asyncio.Task[Any]") -> None:
        """End the limit."""
        self._ends.pop(task, None)
        if self._expired:
            self._expired.pop(task, None)

    def extend(self, seconds: float) -> None:
        """Let the current step end `seconds` from now."""
        self._ends[_current_task()] = time.monotonic() + seconds

    def disable(self) -> None:
        """Let the current step take as long as it does."""
        self._ends.pop(_current_task(), None)

    def _set_timer(self) -> None:
        self._has_timer = True
        asyncio.get_running_loop().call_later(CHECK_EVERY_S, self._check)

    def _check(self) -> None:
        now = time.monotonic()
        for task in [task for task, ends_at in self._ends.items() if ends_at <= now]:
            del self._ends[task]
            self._expired[task] = task.cancelling()
            task.cancel()
        self._has_timer = False
        if self._ends:
            self._set_timer()


def _current_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a time limit needs a task")
    return task
