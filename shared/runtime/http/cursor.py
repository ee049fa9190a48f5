"""Where a page ends, as an opaque `cursor` for the next one. It is no secret, and callers may make one up."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from shared.runtime.http.form_fields import in_utc
from shared.runtime.http.problem import BadRequest, ErrorDetail

T = TypeVar("T")

MAX_CURSOR_LENGTH: Final = 2000
"""Room for a text of 255 characters, of up to 4 bytes each, beside an id."""


def write_cursor(values: Sequence[object]) -> str:
    """The cursor for these values."""
    return urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def read_cursor(text: str, kind: type[T]) -> T:
    """The values of a cursor, a tuple or the like. Raises `BadRequest` for what is none of this kind."""
    if not _CURSOR.fullmatch(text):
        raise changed_cursor()
    try:
        values = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
        for value in values if isinstance(values, tuple) else ():
            in_utc(value)
    except (ValueError, RecursionError, OverflowError):
        raise changed_cursor() from None
    return values


def changed_cursor() -> BadRequest:
    """What to raise for a cursor with values that we would not have written."""
    return invalid_cursor("take it unchanged from 'next' of the page before")


def invalid_cursor(remedy: str) -> BadRequest:
    """What to raise for a cursor that does not belong here."""
    return BadRequest("The cursor is not one of ours.", ErrorDetail(remedy, parameter="cursor"))


_CURSOR: Final = re.compile(rf"[0-9A-Za-z_-]{{1,{MAX_CURSOR_LENGTH}}}")
