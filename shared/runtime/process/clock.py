"""A clock for lengths of time, which no one can set."""

import time
from typing import Final

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed_s() -> float:
    """Seconds since some moment; they pass also while the process is stopped or the machine sleeps.

    That is CLOCK_BOOTTIME on Linux; macOS has none, and its CLOCK_MONOTONIC counts sleep too.
    """
    return time.clock_gettime(_CLOCK)
