"""Read times as people and programs write them.

| text | meaning |
|---|---|
| `2027-01-31T18:00:00Z`, `2027-01-31T18:00:00.5+09:00` | that time (RFC 3339) |
| `2027-01-31T18:00:00.0+0900` | the same: the offset needs no colon |
| `2027-01-31T18:00`, `2027-01-31T18:00:00` | that time in UTC |
| `2027-01-31` | the last moment of that day in UTC, or its first moment where something begins |
| `2027-01-31+09:00`, `2027-01-31Z` | the same in another zone |

`24:00` is midnight at the end of a day. Digits after a microsecond are cut off. `23:59:60` in UTC, a leap second, is
the second after it, as POSIX counts.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Literal

MAX_LENGTH: Final = 64

Day = Literal["first", "last"]
"""The moment of a day that a day without a time stands for."""


class InvalidTime(ValueError):
    """The text is not a time. The message says what would be right."""


def read_time(text: str, *, day: Day) -> datetime:
    """Return the time in UTC. A day without a time is its first or last moment. Raise `InvalidTime`."""
    match = _TIME.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise InvalidTime(_describe_expected(day) + (_PLUS_SIGN if _BLANK_FOR_PLUS.search(text[:MAX_LENGTH]) else ""))
    try:
        return _to_time(match, day)
    except OverflowError:
        raise InvalidTime("expected a time in the years 0001 to 9999 in UTC") from None
    except ValueError:
        raise InvalidTime(f"no such date, time or offset; {_describe_expected(day)}") from None


def is_rfc3339(text: str) -> bool:
    """Return whether a valid time has the form of a date or a date-time of RFC 3339."""
    return len(text) <= MAX_LENGTH and _RFC_3339.fullmatch(text) is not None


def format_rfc3339(at: datetime) -> str:
    """Return the time in UTC, without a fraction of zero."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def time_schema() -> dict[str, Any]:
    """Return the JSON schema of a field that takes a time, without the forms that RFC 3339 does not have."""
    return {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}


def describe_times(day: Day) -> str:
    """Return the description of a field that takes a time, for API documents."""
    return (
        "RFC 3339, such as 2027-01-31T18:00:00Z; UTC without a zone; a day alone, such as 2027-01-31 or "
        f"2027-01-31+09:00, is its {day} moment"
    )


_TIME: Final = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d+))?)?)?"
    r"(?P<zone>[Zz]|(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2}))?",
    re.ASCII,
)
_RFC_3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[Tt](?!24)\d{2}:\d{2}:(?!60)\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2}))?", re.ASCII
)
_BLANK_FOR_PLUS: Final = re.compile(r"\d \d{2}:?\d{2}\Z", re.ASCII)
_PLUS_SIGN: Final = "; in a URL, write '+' as %2B"


def _describe_expected(day: Day) -> str:
    return (
        "expected a time such as 2027-01-31T18:00:00Z or 2027-01-31T18:00+09:00, in UTC if it has no zone, or a day "
        f"such as 2027-01-31, which is its {day} moment"
    )


def _to_time(match: re.Match[str], day: Day) -> datetime:
    """Return the time in UTC. Raise `ValueError` if there is none such, or `OverflowError` if it is out of range."""
    midnight = datetime.fromisoformat(match["day"]).replace(tzinfo=_zone(match))
    if match["hour"] is None:
        return (midnight if day == "first" else midnight + _TO_LAST_MOMENT).astimezone(UTC)
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    microsecond = int((match["fraction"] or "")[:6].ljust(6, "0"))
    if (hour, minute, second, microsecond) == (24, 0, 0, 0):
        return midnight.astimezone(UTC) + timedelta(days=1)
    at = midnight.replace(hour=hour, minute=minute, second=min(second, 59), microsecond=microsecond).astimezone(UTC)
    if second <= _LAST_SECOND:
        return at
    if second > _LAST_SECOND + 1 or (at.hour, at.minute) != (23, 59):
        raise ValueError(second)
    return at + timedelta(seconds=1)


_TO_LAST_MOMENT: Final = timedelta(days=1) - timedelta(microseconds=1)
_LAST_SECOND: Final = 59


def _zone(match: re.Match[str]) -> timezone:
    if match["sign"] is None:
        return UTC
    hours, minutes = int(match["hours"]), int(match["minutes"])
    if hours > 23 or minutes > 59:
        raise ValueError(match["zone"])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if match["sign"] == "-" else offset)
