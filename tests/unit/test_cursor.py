"""A cursor is read as it was written, and any other text is an invalid cursor."""

from base64 import urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.runtime.http.cursor import MAX_CURSOR_LENGTH, read_cursor, write_cursor
from shared.runtime.http.problem import BadRequest

KINDS: tuple[Any, ...] = (tuple[str, bool, int], tuple[datetime, UUID], list[Any], Any)


def encode_cursor(text: str) -> str:
    """Return a cursor with any content."""
    return urlsafe_b64encode(text.encode(errors="surrogatepass")).decode().rstrip("=")


@given(st.tuples(st.text(max_size=255), st.booleans(), st.integers(-(2**63), 2**63 - 1)))
def test_cursor_round_trip_returns_the_values(values: tuple[str, bool, int]) -> None:
    assert read_cursor(write_cursor(values), tuple[str, bool, int]) == values


def test_cursor_with_times_and_ids_is_read() -> None:
    values = (datetime.now(UTC), uuid4())

    assert read_cursor(write_cursor(values), tuple[datetime, UUID]) == values


def test_cursor_with_the_longest_text_is_read() -> None:
    cursor = write_cursor(("name", False, "\U0001f600" * 255, "tok_" + "x" * 40))

    assert len(cursor) <= MAX_CURSOR_LENGTH


@given(st.text(st.characters()) | st.text("ABCabc019-_=") | st.text(st.characters()).map(encode_cursor))
@example(encode_cursor("[" * 1400))
@example(encode_cursor("[1e400]"))
@example(encode_cursor('["\ud800"]'))
@example(encode_cursor("[1]") + "\n")
def test_any_text_is_read_or_raises_bad_request(text: str) -> None:
    for kind in KINDS:
        with suppress(BadRequest):
            read_cursor(text, kind)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "%",
        "WzFd=",
        "W zFd",
        "WzFd\n",
        "é",
        encode_cursor("[1, 2]"),
        encode_cursor('["a", true, 1]')[:-1],
        encode_cursor('["' + "x" * MAX_CURSOR_LENGTH + '", true, 1]'),
    ],
)
def test_invalid_cursor_raises_bad_request(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_cursor(text, tuple[str, bool, int])

    assert [fault.parameter for fault in caught.value.errors] == ["cursor"]
