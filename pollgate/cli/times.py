"""Parse times and durations in options, and format times in UTC for output.

Times are read as the services read them, whatever the time zone of this machine, and printed in UTC.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter, Token

from pollgate.cli.errors import UsageError
from shared.contract import duration
from shared.contract.duration import EXAMPLES, is_duration
from shared.runtime.text.times import Day, InvalidTime, format_rfc3339, is_rfc3339, read_time

_AGO: Final = ", or how long ago, such as 7d"
_FROM_NOW: Final = ", or how long from now, such as 7d"


def parse_duration(text: str) -> timedelta:
    """Return the duration that is written as in the API, or as 0. Raise `ValueError`."""
    if text == "0":
        return timedelta()
    if not is_duration(text):
        raise ValueError(f"'{text}' is not a duration; write it as {EXAMPLES}")
    try:
        return duration.parse_duration(text)
    except ValueError:
        raise ValueError(f"'{text}' is longer than a thousand years") from None


def parse_time(text: str, *, day: Day, also: str = "") -> datetime:
    """Return the time that is written as 2027-01-31 or 2027-01-31T12:00, in UTC unless it has a zone.

    A day alone is its first or last moment. Raise `ValueError`; `also` ends its message with other formats.
    """
    try:
        return read_time(text, day=day)
    except InvalidTime:
        written = f"2027-01-31 (its {day} moment) or 2027-01-31T12:00, in UTC, or with a zone, such as +09:00{also}"
        raise ValueError(f"'{text}' is not a time; write it as {written}") from None


def end_date(text: str) -> str:
    """Return the end of a poll in the API's format: a date stays a date, `never` is empty. Raise `ValueError`."""
    if text in ("", "never"):
        return ""
    if is_duration(text):
        return format_rfc3339((_now() + parse_duration(text)).replace(microsecond=0))
    at = parse_time(text, day="last", also=f"{_FROM_NOW}, or never")
    return text if is_rfc3339(text) else format_rfc3339(at)


def resolve_since(at: datetime | None, ago: timedelta | None) -> datetime | None:
    """Return a time given directly or by how long ago. Raise `UsageError` if both are given."""
    if at is not None and ago is not None:
        raise UsageError("give either --unused-since or --unused-for")
    return at if ago is None else _now() - ago


def format_time(at: datetime | None, never: str = "never") -> str:
    """Return a time in UTC to the minute, for a table."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" if at else never


def format_exact_time(at: datetime | None, never: str = "never") -> str:
    """Return a time to the second, with its time zone, UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else never


def format_end_date(text: str) -> str:
    """Return the end of a poll to the second, with its time zone, UTC. The text is the API's; empty is `never`."""
    try:
        return format_exact_time(read_time(text, day="last") if text else None)
    except InvalidTime:
        return text


def _convert_expiry(_: Any, tokens: Sequence[Token]) -> timedelta | Literal["never"]:
    text = tokens[0].value
    return "never" if text == "never" else parse_duration(text)


def _convert_duration(_: Any, tokens: Sequence[Token]) -> timedelta:
    return parse_duration(tokens[0].value)


def _convert_end(_: Any, tokens: Sequence[Token]) -> datetime:
    return parse_time(tokens[0].value, day="last")


def _past(day: Day) -> Callable[[Any, Sequence[Token]], datetime]:
    def convert(_: Any, tokens: Sequence[Token]) -> datetime:
        text = tokens[0].value
        return _now() - parse_duration(text) if is_duration(text) else parse_time(text, day=day, also=_AGO)

    return convert


def _convert_future(_: Any, tokens: Sequence[Token]) -> datetime:
    text = tokens[0].value
    if is_duration(text):
        return _now() + parse_duration(text)
    return parse_time(text, day="first", also=_FROM_NOW)


def _convert_future_end(_: Any, tokens: Sequence[Token]) -> datetime | Literal["never"]:
    text = tokens[0].value
    if text == "never":
        return "never"
    if is_duration(text):
        return (_now() + parse_duration(text)).replace(microsecond=0)
    return parse_time(text, day="last", also=f"{_FROM_NOW}, or never")


def _now() -> datetime:
    return datetime.now(UTC)


Duration = Annotated[timedelta, Parameter(converter=_convert_duration, metavar="DURATION")]
DurationOrNever = Annotated[
    timedelta | Literal["never"],
    Parameter(converter=_convert_expiry, metavar="DURATION", show_choices=False),
]
EndTime = Annotated[datetime, Parameter(converter=_convert_end, metavar="TIME")]
"""When something ends; a day is its last moment."""
Past = Annotated[datetime, Parameter(converter=_past("first"), metavar="TIME")]
"""A time, or a duration before now; a day is its first moment."""
PastDay = Annotated[datetime, Parameter(converter=_past("last"), metavar="TIME")]
"""A time, or a duration before now; a day is its last moment."""
Future = Annotated[datetime, Parameter(converter=_convert_future, metavar="TIME")]
"""A time, or a duration after now; a day is its first moment."""
FutureEnd = Annotated[
    datetime | Literal["never"], Parameter(converter=_convert_future_end, metavar="TIME", show_choices=False)
]
"""When something ends: a time, a duration after now, or `never`; a day is its last moment."""
