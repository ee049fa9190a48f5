"""The filter of a list of polls, and the position at which a page begins."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from services.polls.domain.poll import Status
from shared.contract.scope import Path

Position = tuple[datetime, UUID]
"""The creation time and id of a poll, by which lists are sorted."""
START: Final[Position] = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
"""A position before every poll."""
END: Final[Position] = (datetime(9999, 12, 31, tzinfo=UTC), UUID(int=2**128 - 1))
"""A position after every poll."""


class PollFilter(Struct, frozen=True):
    """The conditions of a list. A poll has to be below one of the paths; no path is below another."""

    paths: Sequence[Path]
    status: Status | None = None
    updated_since: datetime | None = None
