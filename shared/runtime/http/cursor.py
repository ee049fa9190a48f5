"""Encode the position after a page as an opaque `cursor`. It is not secret, and a client may forge one."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from shared.runtime.http.form_fields import to_utc
from shared.runtime.http.problem import BadRequest, ErrorDetail

T = TypeVar("T")

MAX_CURSOR_LENGTH: Final = 2000
"""Enough for text of 255 characters, of up to 4 bytes each, and an id."""


def write_cursor(values: Sequence[object]) -> str:
    """Return the cursor for these values."""
    return urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def read_cursor(text: str, kind: type[T]) -> T:
    """Return the values of a cursor as a `kind`, usually a tuple. Raise `BadRequest` if they are not."""
    if not _CURSOR.fullmatch(text):
        raise changed_cursor()
    try:
        values = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
        for value in values if isinstance(values, tuple) else ():
            to_utc(value)
    except (ValueError, RecursionError, OverflowError):
        raise changed_cursor() from None
    return values


def changed_cursor() -> BadRequest:
    """Return the error for a cursor that `write_cursor` would not have written."""
    return invalid_cursor("expected the unchanged 'next' of the previous page")


def invalid_cursor(remedy: str) -> BadRequest:
    """Return the error for a cursor that is not valid for this request."""
    return BadRequest("Invalid cursor.", ErrorDetail(remedy, parameter="cursor"))


_CURSOR: Final = re.compile(rf"[0-9A-Za-z_-]{{1,{MAX_CURSOR_LENGTH}}}")
