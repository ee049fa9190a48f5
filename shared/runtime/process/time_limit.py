"""Limit the time of many short blocks with one timer for all of them.

`asyncio.timeout` sets and cancels a timer of the event loop for each block, which costs 5 µs. A request has several
limits and reaches none of them, so here each limit is noted, and one timer looks for those that have been reached.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

CHECK_EVERY_S: Final = 0.05
"""A block may take this much longer than its limit."""


class TimeLimits:
    """Creates limits that share a timer. Create one instance per event loop. The timer runs while there are limits."""

    def __init__(self) -> None:
        self._running: set[TimeLimit] = set()
        self._timer: asyncio.TimerHandle | None = None

    def limit(self, seconds: float) -> "TimeLimit":
        """Return a context manager that raises `TimeoutError` after `seconds`, as `asyncio.timeout` does."""
        return TimeLimit(self, seconds)

    def add(self, limit: "TimeLimit") -> None:
        """Look at the limit from now on."""
        self._running.add(limit)
        if self._timer is None:
            self._set_timer()

    def remove(self, limit: "TimeLimit") -> None:
        """Stop looking at the limit."""
        self._running.discard(limit)

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CHECK_EVERY_S, self._check)

    def _check(self) -> None:
        now = asyncio.get_running_loop().time()
        for limit in [each for each in self._running if each.ends_at <= now]:
            limit.expire()
        self._timer = None
        if self._running:
            self._set_timer()


class TimeLimit:
    """The limit of one block of the current task. It can be entered once."""

    __slots__ = ("_cancelling", "_is_expired", "_limits", "_seconds", "_task", "ends_at")

    def __init__(self, limits: TimeLimits, seconds: float) -> None:
        self._limits = limits
        self._seconds = seconds
        self._is_expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task")
        self._task = task
        self._cancelling = task.cancelling()
        self.extend(self._seconds)
        self._limits.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._limits.remove(self)
        if self._is_expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def extend(self, seconds: float) -> None:
        """End `seconds` from now instead."""
        self.ends_at = asyncio.get_running_loop().time() + seconds

    def disable(self) -> None:
        """Let the block take as long as it does."""
        self.ends_at = float("inf")

    def expire(self) -> None:
        """Cancel the task. The context manager turns that into a `TimeoutError`."""
        self._limits.remove(self)
        self._is_expired = True
        self._task.cancel()
