"""The polls that somebody follows, each read once for all in this process who do, and told in the same bytes."""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar
from uuid import UUID

import structlog

from services.polls.domain.poll import closes_at
from services.polls.domain.results import Audience
from services.polls.domain.state import PollState
from services.polls.operations.feed import PollFeed
from services.polls.storage.polls import select_watched
from shared.runtime.postgres.database import Database, DatabaseUnavailable
from shared.runtime.process.clock import elapsed_s

PAUSE_S: Final = 0.1
"""Between two looks, so that many votes in a moment are read once."""
PART: Final = 100
"""Polls that are read at once, so that no number of long ones takes more time than a statement has."""
AWAY_S: Final = 1.0
"""Before another look where the database was away: a poll that is to close meanwhile would be asked for at once."""

_log = structlog.get_logger()

T = TypeVar("T")


class Followed:
    """One poll as it was last read."""

    def __init__(self, state: PollState) -> None:
        self.is_gone = False
        self._state = state
        self._read_at_s = elapsed_s()
        self._made: dict[Audience, Any] = {}  # whatever the followers make of it
        self._up_to_date: set[Audience] = set()
        self._followers: set[Callable[[], None]] = set()

    def made(self, make: Callable[[PollState, Audience, T | None], T], sight: Audience) -> T:
        """What `make`, always the same one, makes of the poll and of what it has made of it before: once for all who
        follow it and see as much.
        """
        if sight not in self._up_to_date:
            self._made[sight] = make(self._state, sight, self._made.get(sight))
            self._up_to_date.add(sight)
        made: T = self._made[sight]
        return made

    @property
    def closes_in_s(self) -> float:
        """In how long from now the poll closes by itself, by the clock of the database that it was read from."""
        end = closes_at(self._state.poll.draft.settings)
        if end is None or self._state.is_closed or self.is_gone:
            return float("inf")
        return (end - self._state.at).total_seconds() - (elapsed_s() - self._read_at_s)

    def take(self, state: PollState | None) -> None:
        """What a look has found."""
        if state is None:
            self.is_gone = True
        else:
            has_changed = _stage(state) != _stage(self._state)
            self._state, self._read_at_s = state, elapsed_s()
            if not has_changed:
                return
            self._up_to_date.clear()
        for tell in self._followers:
            tell()

    def take_if_newer(self, state: PollState) -> None:
        """What somebody has found who begins to follow: when that was says nothing of when the poll has changed."""
        if state.at > self._state.at:
            self.take(state)

    def add(self, tell: Callable[[], None]) -> None:
        """Call `tell` after each look that finds a change."""
        self._followers.add(tell)

    def remove(self, tell: Callable[[], None]) -> bool:
        """Call it no more; whether nobody is left."""
        self._followers.discard(tell)
        return not self._followers


class FollowedPolls:
    """One a process. `run` is to run all the while."""

    def __init__(self, database: Database, feed: PollFeed) -> None:
        self._database = database
        self._feed = feed
        self._polls: dict[UUID, Followed] = {}
        self._wanted: set[UUID] = set()
        self._news = asyncio.Event()

    @contextmanager
    def follow(self, state: PollState, tell: Callable[[], None]) -> Generator[Followed, None, None]:
        """The poll, read anew before long and whenever it may have changed; `tell` is called when it has."""
        poll_id = state.poll.id
        followed = self._polls.setdefault(poll_id, Followed(state))
        followed.take_if_newer(state)
        followed.add(tell)
        self._want(poll_id)
        try:
            with self._feed.watch(poll_id, lambda: self._want(poll_id)):
                yield followed
        finally:
            if followed.remove(tell):
                del self._polls[poll_id]

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._closes_in_s()):
                    await self._news.wait()
            self._news.clear()
            wanted, self._wanted = (self._wanted & self._polls.keys()) | self._closing(), set()
            if wanted:
                await self._look(wanted)
            await asyncio.sleep(PAUSE_S)

    def _want(self, poll_id: UUID) -> None:
        self._wanted.add(poll_id)
        self._news.set()

    def _closes_in_s(self) -> float | None:
        """In how long the next poll closes, which nobody announces."""
        soonest = min((followed.closes_in_s for followed in self._polls.values()), default=float("inf"))
        return None if soonest == float("inf") else soonest

    def _closing(self) -> set[UUID]:
        return {poll_id for poll_id, followed in self._polls.items() if followed.closes_in_s <= 0}

    async def _look(self, poll_ids: set[UUID]) -> None:
        wanted = list(poll_ids)
        try:
            for start in range(0, len(wanted), PART):
                part = wanted[start : start + PART]
                self._take(part, await select_watched(self._database, part))
        except DatabaseUnavailable as error:
            _log.warning("followed polls were not read; tried again", error=str(error))
            await asyncio.sleep(AWAY_S)

    def _take(self, poll_ids: Sequence[UUID], states: Mapping[UUID, PollState]) -> None:
        for poll_id in poll_ids:
            if poll_id in self._polls:
                self._polls[poll_id].take(states.get(poll_id))


def _stage(state: PollState) -> tuple[int, int, bool]:
    return state.poll.version, state.revision, state.is_closed
