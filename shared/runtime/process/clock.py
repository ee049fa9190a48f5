"""A clock for durations, which cannot be set."""

import time
from typing import Final

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed_s() -> float:
    """Return seconds since an arbitrary moment, including time for which the process or the machine was suspended.

    This is CLOCK_BOOTTIME on Linux. macOS has none, but its CLOCK_MONOTONIC includes sleep too.
    """
    return time.clock_gettime(_CLOCK)
