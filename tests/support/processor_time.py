"""Tell work that grows with the square of its input from a machine that is busy."""

import time
from collections.abc import Callable
from typing import Final

TRIES: Final = 5
"""A busy machine makes some calls slow, a quadratic one makes every call slow."""


def is_quick(call: Callable[[], object], limit_s: float) -> bool:
    """Return whether a call takes less than `limit_s` of this thread's processor time in one of several tries."""
    return any(_seconds(call) < limit_s for _ in range(TRIES))


def _seconds(call: Callable[[], object]) -> float:
    started = time.thread_time()
    call()
    return time.thread_time() - started
