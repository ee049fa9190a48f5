"""How often a token was used and refused, in total and by day."""

from datetime import date, datetime
from typing import NamedTuple


class Use(NamedTuple):
    """The total counts of a token, and when and from where it was used last, as far as a guard has reported it."""

    uses: int = 0
    refusals: int = 0
    last_used_at: datetime | None = None
    last_used_address: str | None = None
    last_used_user_agent: str | None = None


class DayOfUse(NamedTuple):
    """The counts of a token for one day in UTC."""

    day: date
    uses: int
    refusals: int
