"""Texts of polls are refused without keeping the event loop busy."""

import pytest

from services.polls.domain.errors import InvalidPoll
from services.polls.domain.poll import Option, PollSpec, Settings, validate
from tests.support.processor_time import is_quick

MARKS = "\u0316\u0301" * 40_000
"""Combining marks, which take quadratic time to normalize; as many as a form has room for."""


def refuse(spec: PollSpec) -> None:
    """Validate an invalid poll."""
    with pytest.raises(InvalidPoll):
        validate(spec)


def test_title_of_combining_marks_is_refused_quickly() -> None:
    options = (Option("1", f"a{MARKS}", 0), Option("2", "b", 1))

    assert is_quick(lambda: refuse(PollSpec("Lunch?", options, "", Settings())), 0.2)


def test_long_titles_that_are_equal_are_found() -> None:
    options = (Option("1", "a" * 300, 0), Option("2", "a" * 300, 1))

    with pytest.raises(InvalidPoll) as refusal:
        validate(PollSpec("Lunch?", options, "", Settings()))

    assert any("look the same" in violation.reason for violation in refusal.value.violations)
