"""Filters of the templates: times, days, counts and texts with code in them."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from markupsafe import Markup, escape

from shared.runtime.text.times import format_rfc3339


def time(at: datetime) -> Markup:
    """Return an element with the time in UTC, which a script shows relative and in the reader's zone."""
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(format_rfc3339(utc.replace(microsecond=0)), moment(utc))


def moment(at: datetime) -> str:
    """Return a time in UTC: `30 Nov 2026, 16:46 UTC`."""
    utc = at.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


def day(at: date) -> str:
    """Return a day: `30 November 2026`. Of a time, the day in UTC."""
    local = at.astimezone(UTC) if isinstance(at, datetime) else at
    return f"{local.day} {local:%B %Y}"


def number(count: int) -> str:
    """Return a whole number with separators of thousands."""
    return f"{count:,}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun: `1 token`, `2 tokens`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """Return a text that begins with a capital letter and ends with a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def with_code(text: str) -> Markup:
    """Return a text in which a part between backticks is code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(part) if index % 2 else part for index, part in enumerate(parts))


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "time": time,
    "moment": moment,
    "day": day,
    "number": number,
    "plural": plural,
    "sentence": sentence,
    "with_code": with_code,
}
