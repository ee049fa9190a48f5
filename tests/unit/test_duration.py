"""Durations, as the API and the command line read them."""

import re
from datetime import timedelta

import pytest

from shared.contract.duration import DURATION_PATTERN, MAX_DURATION, is_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("1w", timedelta(weeks=1)),
        ("2h30m", timedelta(hours=2, minutes=30)),
        ("45s", timedelta(seconds=45)),
        ("P90D", timedelta(days=90)),
        ("P2W", timedelta(weeks=2)),
        ("PT12H", timedelta(hours=12)),
        ("P1DT2H30M5S", timedelta(days=1, hours=2, minutes=30, seconds=5)),
        ("365000d", MAX_DURATION),
    ],
)
def test_duration_is_read(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "90", "d", "90x", "90 d", "-1d", "1.5h", "P", "PT", "P1", "P1Y", "P1M", "P1DT", "P1H", "p1d", "1D"),
        *("\u0663d", "365001d", "999999999w", "1d" * 33, "1d\n"),
    ],
)
def test_invalid_duration_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["90d", "2h30m", "P1DT2H", "P1W", "P1W2D", "P", "1y"])
def test_pattern_of_json_schema_agrees_with_parser(text: str) -> None:
    assert bool(re.match(DURATION_PATTERN, text)) == is_duration(text)
