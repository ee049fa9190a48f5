"""Times as options are given, a duration such as 90d or a local time, and as they are shown, in UTC."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter, Token

from pollgate.cli.errors import CliError

_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"(?:\d{1,9}[wdhms])+")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_AGO: Final = ", or how long ago, as 7d"
_FROM_NOW: Final = ", or how long from now, as 7d"
_LONGEST: Final = timedelta(days=365_000)
_PART: Final = re.compile(r"(\d+)([wdhms])")


def duration(text: str) -> timedelta:
    """What 90d, 12h, 30m or 1h30m says, and 0. Raises `ValueError`."""
    if text == "0":
        return timedelta()
    if not _DURATION.fullmatch(text):
        raise ValueError(f"'{text}' is not a duration; write it as 90d, 12h, 30m or 1h30m")
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f"'{text}' is longer than a thousand years")
    return timedelta(seconds=seconds)


def time(text: str, *, also: str = "") -> datetime:
    """What 2027-01-31 or 2027-01-31T12:00 says, in local time unless it names an offset. Raises `ValueError`, which
    says what else could be written.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        written = f"2027-01-31 or 2027-01-31T12:00 (local time){also}"
        raise ValueError(f"'{text}' is not a time; write it as {written}") from None


def end_date(text: str) -> str:
    """When a poll ends, as the API has it: a date stays one, and `never` is an empty text. Raises `ValueError`."""
    if text in ("", "never"):
        return ""
    if _DATE.fullmatch(text):
        time(text)
        return text
    at = _now() + duration(text) if _DURATION.fullmatch(text) else time(text, also=f"{_FROM_NOW}, or never")
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def since(at: datetime | None, ago: timedelta | None) -> datetime | None:
    """A time that is given by itself or by how long ago. Raises `CliError` where it is given twice."""
    if at is not None and ago is not None:
        raise CliError("give either --unused-since or --unused-for")
    return at if ago is None else _now() - ago


def told(at: datetime | None, never: str = "never") -> str:
    """A time to the minute, in UTC, for a column of them."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" if at else never


def told_exactly(at: datetime | None, never: str = "never") -> str:
    """A time to the second, in UTC, and that it is."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else never


def _duration_or_never(_: Any, tokens: Sequence[Token]) -> timedelta | Literal["never"]:
    text = tokens[0].value
    return "never" if text == "never" else duration(text)


def _duration(_: Any, tokens: Sequence[Token]) -> timedelta:
    return duration(tokens[0].value)


def _time(_: Any, tokens: Sequence[Token]) -> datetime:
    return time(tokens[0].value)


def _past(_: Any, tokens: Sequence[Token]) -> datetime:
    text = tokens[0].value
    return _now() - duration(text) if _DURATION.fullmatch(text) else time(text, also=_AGO)


def _future(_: Any, tokens: Sequence[Token]) -> datetime:
    text = tokens[0].value
    return _now() + duration(text) if _DURATION.fullmatch(text) else time(text, also=_FROM_NOW)


def _now() -> datetime:
    return datetime.now(UTC)


Duration = Annotated[timedelta, Parameter(converter=_duration, metavar="DURATION")]
DurationOrNever = Annotated[
    timedelta | Literal["never"], Parameter(converter=_duration_or_never, metavar="DURATION", show_choices=False)
]
Time = Annotated[datetime, Parameter(converter=_time, metavar="TIME")]
Past = Annotated[datetime, Parameter(converter=_past, metavar="TIME")]
"""A time, or how long ago."""
Future = Annotated[datetime, Parameter(converter=_future, metavar="TIME")]
"""A time, or how long from now."""
