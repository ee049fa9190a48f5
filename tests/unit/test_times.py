"""Times are read by one rule, in any zone, and anything else is refused with what would be right."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.text.times import InvalidTime, format_rfc3339, is_rfc3339, read_time

TIMES = {
    "2027-01-31T18:00:00Z": "2027-01-31T18:00:00Z",
    "2027-01-31t18:00:00z": "2027-01-31T18:00:00Z",
    "2027-01-31T18:00:00.5+09:00": "2027-01-31T09:00:00.500000Z",
    "2030-08-18T02:40:37.0+0000": "2030-08-18T02:40:37Z",
    "2030-08-18T06:23:12.0-0500": "2030-08-18T11:23:12Z",
    "2030-08-18T06:23": "2030-08-18T06:23:00Z",
    "2030-08-18 06:23:01": "2030-08-18T06:23:01Z",
    "2027-01-31T18:00:00.123456789Z": "2027-01-31T18:00:00.123456Z",
    "2027-01-31T24:00": "2027-02-01T00:00:00Z",
    "2027-01-31T24:00:00.0+09:00": "2027-01-31T15:00:00Z",
    "2016-12-31T23:59:60Z": "2017-01-01T00:00:00Z",
    "2017-01-01T08:59:60.9+09:00": "2017-01-01T00:00:00.900000Z",
    "0001-01-01T00:00:00Z": "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999-00:00": "9999-12-31T23:59:59.999999Z",
}
DAYS = {
    "2027-01-31": ("2027-01-31T00:00:00Z", "2027-01-31T23:59:59.999999Z"),
    "2027-01-31Z": ("2027-01-31T00:00:00Z", "2027-01-31T23:59:59.999999Z"),
    "2027-01-31+09:00": ("2027-01-30T15:00:00Z", "2027-01-31T14:59:59.999999Z"),
    "2027-01-31-0800": ("2027-01-31T08:00:00Z", "2027-02-01T07:59:59.999999Z"),
    "9999-12-31": ("9999-12-31T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
}
INVALID = [
    *("", "now", "2027", "2027-01", "20270131", "2027-W05-1", "27-01-31", "2027-1-31", "31.01.2027", "01/31/2027"),
    *("2027-02-29", "2027-13-01", "2027-00-01", "2027-01-00", "0000-01-01", "10000-01-01", "-2027-01-31"),
    *(
        "2027-01-31T",
        "2027-01-31T18",
        "2027-01-31T18:00:00.Z",
        "2027-01-31T18:00:00,5Z",
        "2027-01-31T18:60",
        " 2027-01-31",
    ),
    *(
        "2027-01-31T24:01",
        "2027-01-31T25:00",
        "2027-01-31T18:00:60Z",
        "2016-12-31T23:59:61Z",
        "2016-12-31T23:59:60+01:00",
    ),
    *("2027-01-31T18:00+24:00", "2027-01-31T18:00+09:60", "2027-01-31T18:00+9", "2027-01-31T18:00UTC", "2027-01-31\n"),
    *("٢٠٢٧-٠١-٣١", "2027-01-31T18:00:00." + "1" * 64 + "Z", "1798761600", "2027-01-31T18:00:00 09:00"),
    *("0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "9999-12-31T24:00", "9999-12-31-00:01"),
]


@pytest.mark.parametrize(("text", "expected"), TIMES.items())
def test_time_is_read_in_utc_for_beginning_and_end(text: str, expected: str) -> None:
    assert format_rfc3339(read_time(text, day="first")) == format_rfc3339(read_time(text, day="last")) == expected


@pytest.mark.parametrize(("text", "expected"), DAYS.items())
def test_day_is_its_first_or_last_moment(text: str, expected: tuple[str, str]) -> None:
    assert (format_rfc3339(read_time(text, day="first")), format_rfc3339(read_time(text, day="last"))) == expected


@pytest.mark.parametrize("text", INVALID)
def test_invalid_time_is_refused_with_valid_form(text: str) -> None:
    with pytest.raises(InvalidTime, match=r"expected a time"):
        read_time(text, day="last")


@given(st.datetimes(timezones=st.timezones()))
def test_time_that_is_written_in_rfc_3339_is_read_back(at: datetime) -> None:
    try:
        expected = at.astimezone(UTC)
    except OverflowError:
        return
    text = format_rfc3339(at)

    assert is_rfc3339(text)
    assert read_time(text, day="last") == expected


@given(st.text(st.sampled_from("0123456789-+:.TtZz "), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(InvalidTime):
        assert read_time(text, day="first").tzinfo is UTC
