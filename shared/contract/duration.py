"""Read durations as people and programs write them, the same in the API and on the command line.

The grammar: one or more numbers, each with a unit (`w`, `d`, `h`, `m` or `s`), such as `90d`, `12h` or `2h30m`; or
ISO 8601 without years and months, whose lengths differ: `P90D`, `PT12H`, `P1DT2H30M`, `P2W`. A day has 24 hours.
"""

import re
from datetime import timedelta
from typing import Final

MAX_DURATION: Final = timedelta(days=365_000)
MAX_DURATION_LENGTH: Final = 64
"""In characters, as written."""
EXAMPLES: Final = "90d, 12h, 2h30m or P90D"

_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_SHORT: Final = re.compile(r"(?:[0-9]{1,9}[wdhms])+")
_ISO: Final = re.compile(
    r"P(?:[0-9]{1,9}W|(?=[0-9T])(?:[0-9]{1,9}D)?(?:T(?=[0-9])(?:[0-9]{1,9}H)?(?:[0-9]{1,9}M)?(?:[0-9]{1,9}S)?)?)"
)
_PART: Final = re.compile(r"([0-9]{1,9})([wdhms])")

DURATION_PATTERN: Final = rf"^(?:{_SHORT.pattern}|{_ISO.pattern})$"
"""A regular expression for JSON Schema."""


def is_duration(text: str) -> bool:
    """Return whether `text` is written as a duration, however long."""
    return len(text) <= MAX_DURATION_LENGTH and bool(_SHORT.fullmatch(text) or _ISO.fullmatch(text))


def parse_duration(text: str) -> timedelta:
    """Return the duration. Raise `ValueError`, whose message says how to write one."""
    if not is_duration(text):
        raise ValueError(f"write a duration as {EXAMPLES}")
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text.lower()))
    if seconds > MAX_DURATION.total_seconds():
        raise ValueError("a duration has at most a thousand years")
    return timedelta(seconds=seconds)
