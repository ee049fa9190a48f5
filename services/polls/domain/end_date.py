"""The end date of a poll, as a client writes it and as it is stored."""

from datetime import UTC, datetime
from functools import lru_cache

from shared.runtime.text.times import InvalidTime, format_rfc3339, is_rfc3339, read_time


@lru_cache
def read_end_date(text: str) -> datetime | None:
    """Return the time that an end date stands for, in UTC, or `None` if it is empty. Raise `InvalidTime`."""
    return read_time(text, day="last") if text else None


def stored_end_date(text: str) -> str:
    """Return the end date as it is stored: a date or date-time of RFC 3339 as it is, any other valid time in UTC."""
    if not text or is_rfc3339(text):
        return text
    try:
        return format_rfc3339(read_time(text, day="last"))
    except InvalidTime:
        return text


def format_end_date(at: datetime) -> str:
    """Return a time as an end date, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
