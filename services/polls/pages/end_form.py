"""The end date of a poll in a form: a day, and a time of that day in UTC."""

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from services.polls.domain.end_date import read_end_date
from shared.runtime.text.times import InvalidTime

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class EndForm(NamedTuple):
    """The fields as texts. Without a time, the end is the last moment of the day."""

    day: str = ""
    time: str = ""

    def to_end_date(self, stored: str = "") -> str:
        """Return the end date, which may be invalid: the stored one as it is, if the form still shows it."""
        if self == end_form_of(stored):
            return stored
        return f"{self.day}T{self.time}" if self.time else self.day


def end_form_of(end_date: str) -> EndForm:
    """Return the form that shows an end date."""
    if not end_date or _DAY.fullmatch(end_date):
        return EndForm(end_date)
    try:
        at = read_end_date(end_date)
    except InvalidTime:
        return EndForm(end_date)
    return EndForm() if at is None else EndForm(at.date().isoformat(), _time_of(at))


def _time_of(at: datetime) -> str:
    """Return the time in UTC, as short and at most as exact as the field for a time has it."""
    exactness = "milliseconds" if at.microsecond >= 1000 else "seconds" if at.second else "minutes"
    return at.astimezone(UTC).time().isoformat(timespec=exactness)
