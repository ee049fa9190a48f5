"""Compare the clock of a part with the one of this machine.

Exactness of revocation needs no equal clocks. Expiry of tokens and of sessions, signed pushes and assertions do.
"""

import time
from typing import Final

from pollgate.doctor.finding import Examination

WARNING_S: Final = 2.0
"""Below this a difference may come from the time of the request, or from a time in whole seconds."""
PROBLEM_S: Final = 10.0
"""Clocks may differ by this much before assertions of services are refused."""
_ADVICE: Final = "synchronise the clocks of both machines (NTP); tokens expire by the clock of the machine that checks"


class Stopwatch:
    """The wall time around a request, to estimate when the other side read its clock."""

    def __init__(self) -> None:
        self._started = time.time()

    def difference_s(self, read_at: float, precision_s: float = 0.0) -> float:
        """Return by how many seconds the other clock is certainly fast (positive) or slow (negative).

        `read_at` is what it showed, in seconds since 1970, cut to a multiple of `precision_s`.
        """
        ended = time.time()
        if read_at > ended:
            return read_at - ended
        if read_at + precision_s < self._started:
            return read_at + precision_s - self._started
        return 0.0


def examine_clock(examination: Examination, difference_s: float) -> None:
    """Add what the difference from this machine's clock means."""
    apart = abs(difference_s)
    direction = "fast" if difference_s > 0 else "slow"
    finding = f"{apart:.1f} s {direction}" if apart >= WARNING_S else "agrees with the clock of this machine"
    examination.judge("clock", finding, _ADVICE, warns=apart >= WARNING_S, fails=apart >= PROBLEM_S)
