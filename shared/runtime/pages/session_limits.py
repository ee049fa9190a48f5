"""When sessions of pages end."""

from datetime import timedelta
from typing import Final

from msgspec import Struct

_MOST_EXACT: Final = timedelta(minutes=1)


class SessionLimits(Struct, frozen=True):
    """A session ends after `idle` without a request, and `longest` after its start."""

    idle: timedelta
    longest: timedelta

    @property
    def seen_interval(self) -> timedelta:
        """How exactly the last use of a session is stored: so that one in use does not end as idle."""
        return min(_MOST_EXACT, self.idle / 4)
