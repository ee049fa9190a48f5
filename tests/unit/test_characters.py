"""Texts are cleaned or refused by one rule, in linear time."""

import unicodedata
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.text.characters import InvalidText, clean_line, clean_lines, comparable, has_outer_blank
from tests.support.processor_time import is_quick

_UNUSUAL = " \t\r\n\u00a0\u200b\u200d\u0301\u0308\u202a\u202c\u2066\u2069\ufe0f"
_TEXT = st.text(st.characters() | st.sampled_from(_UNUSUAL))


@pytest.mark.parametrize("clean", [clean_line, clean_lines])
@given(_TEXT)
def test_cleaned_text_is_clean(clean: Callable[[str], str], text: str) -> None:
    with suppress(InvalidText):
        cleaned = clean(text)

        assert clean(cleaned) == cleaned
        assert unicodedata.is_normalized("NFC", cleaned)
        assert not has_outer_blank(cleaned)
        cleaned.encode()


@given(_TEXT)
def test_comparable_form_is_its_own_comparable_form(text: str) -> None:
    assert comparable(comparable(text)) == comparable(text)


@pytest.mark.parametrize(
    "text",
    [
        "e\u0301\u0316" * 20_000,
        ("a" + "\u0301\u0316" * 15) * 2_000,
        "\u0316" * 60_000,
        "\u2066" * 60_000,
        "\u202a\u202c" * 30_000,
    ],
)
def test_worst_text_is_cleaned_or_refused_in_time(text: str) -> None:
    def clean() -> None:
        with suppress(InvalidText):
            clean_lines(text)

    assert is_quick(clean, limit_s=0.5)
