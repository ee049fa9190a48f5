"""Reading a JSON body raises no error other than `BadRequest`, whatever its bytes."""

import json
from contextlib import nullcontext, suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.runtime.http.body import read_json
from shared.runtime.http.i_json import require_i_json
from shared.runtime.http.problem import BadRequest, InvalidBody

FRAGMENTS = [
    *(
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"',
        "\\",
        "\\u",
        "d800",
        "dc00",
        '"a"',
        '"b":',
        "0",
        "-",
        "1e999",
        "9" * 25,
        "NaN",
    ),
    *(" ", "\n", "\0", "\ufeff", "é", "\U0001f600", "true", "null", "Infinity", "[" * 120),
]


class MixedTypes(msgspec.Struct):
    """A kind with a bit of everything."""

    a: int | list[float] | None = None
    b: dict[str, Any] = {}


@given(st.lists(st.sampled_from(FRAGMENTS)).map("".join).map(str.encode) | st.binary())
@example(b'{"a":' + b"9" * 5000 + b"}")
@example(b"\xef\xbb\xbf")
def test_any_bytes_are_accepted_or_raise_bad_request(body: bytes) -> None:
    for kind in (Any, MixedTypes, dict[str, int], list[str], str, float, bool):
        with suppress(BadRequest, InvalidBody):
            read_json(body, kind)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JSON_VALUES, st.booleans())
def test_encoded_json_is_accepted(value: Any, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()

    assert read_json(body, Any) == value


@given(st.text(st.characters()), st.text(st.sampled_from("a\\\ud83d\ude00")), st.booleans())
def test_only_unpaired_surrogates_are_refused(any_text: str, text: str, as_name: bool) -> None:
    body = json.dumps({text: any_text} if as_name else [any_text, text]).encode()

    with nullcontext() if has_no_unpaired_surrogate(body) else pytest.raises(BadRequest, match="surrogate"):
        require_i_json(body)


def has_no_unpaired_surrogate(body: bytes) -> bool:
    """Return whether the text has no unpaired surrogates, according to the standard library."""
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
