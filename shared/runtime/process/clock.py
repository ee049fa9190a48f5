"""A clock for durations, which cannot be set."""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

elapsed_s: Final[Callable[[], float]] = partial(time.clock_gettime, _CLOCK)
"""Returns seconds since an arbitrary moment, including time for which the process or the machine was suspended.

This is CLOCK_BOOTTIME on Linux. macOS has none, but its CLOCK_MONOTONIC includes sleep too.
"""
