"""Polls that clients follow by event streams. Each is read once, and rendered once per audience, for all followers."""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar
from uuid import UUID

import structlog

from services.polls.domain.poll import closing_time
from services.polls.domain.results import Audience
from services.polls.domain.state import PollState
from services.polls.storage.polls import select_watched
from services.polls.tasks.poll_feed import PollFeed
from shared.runtime.postgres.database import Database, DatabaseUnavailable
from shared.runtime.process.clock import elapsed_s

PAUSE_S: Final = 0.1
"""The pause between two reads, so that many votes in a short time cause one read."""
POLLS_PER_READ: Final = 100
"""The maximum of polls in one statement, so that it does not exceed its time limit."""
RETRY_S: Final = 1.0
"""The pause before the next read after the database was unavailable."""

_log = structlog.get_logger()

T = TypeVar("T")


class FollowedPoll:
    """A poll as it was last read. `is_gone` is true after it was deleted."""

    def __init__(self, state: PollState) -> None:
        self.is_gone = False
        self._state = state
        self._read_at_s = elapsed_s()
        self._rendered: dict[Audience, Any] = {}
        self._up_to_date: set[Audience] = set()
        self._followers: set[Callable[[], None]] = set()

    def render(self, render: Callable[[PollState, Audience, T | None], T], audience: Audience) -> T:
        """Return what `render` makes of the poll for the audience, from a cache if the poll has not changed.

        The third argument of `render` is its earlier result for the audience. Every follower passes the same function.
        """
        if audience not in self._up_to_date:
            self._rendered[audience] = render(self._state, audience, self._rendered.get(audience))
            self._up_to_date.add(audience)
        rendered: T = self._rendered[audience]
        return rendered

    @property
    def closes_in_s(self) -> float:
        """Seconds until the poll closes by its end date, by the clock of the database; infinite if it does not."""
        end = closing_time(self._state.poll.spec.settings)
        if end is None or self._state.is_closed or self.is_gone:
            return float("inf")
        return (end - self._state.at).total_seconds() - (elapsed_s() - self._read_at_s)

    def update(self, state: PollState | None) -> None:
        """Store a state that was read, `None` if the poll was deleted. Call the followers if the poll has changed."""
        if state is None:
            self.is_gone = True
        else:
            has_changed = _version(state) != _version(self._state)
            self._state, self._read_at_s = state, elapsed_s()
            if not has_changed:
                return
            self._up_to_date.clear()
        for on_change in self._followers:
            on_change()

    def update_if_newer(self, state: PollState) -> None:
        """Do the same as `update`, if the state is newer; it was read by another caller."""
        if state.at > self._state.at:
            self.update(state)

    def add_follower(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` after each read that finds a change."""
        self._followers.add(on_change)

    def remove_follower(self, on_change: Callable[[], None]) -> bool:
        """Stop calling `on_change`. Return whether no follower is left."""
        self._followers.discard(on_change)
        return not self._followers


class FollowedPolls:
    """Reads followed polls when they change. Create one instance per process, and keep `run` running."""

    def __init__(self, database: Database, feed: PollFeed) -> None:
        self._database = database
        self._feed = feed
        self._polls: dict[UUID, FollowedPoll] = {}
        self._to_read: set[UUID] = set()
        self._has_work = asyncio.Event()

    @contextmanager
    def follow(self, state: PollState, on_change: Callable[[], None]) -> Generator[FollowedPoll, None, None]:
        """Follow a poll that was read as `state`. Call `on_change` whenever it has changed."""
        poll_id = state.poll.id
        followed = self._polls.setdefault(poll_id, FollowedPoll(state))
        followed.update_if_newer(state)
        followed.add_follower(on_change)
        self._schedule(poll_id)
        try:
            with self._feed.watch(poll_id, lambda: self._schedule(poll_id)):
                yield followed
        finally:
            if followed.remove_follower(on_change):
                del self._polls[poll_id]

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._next_closing_s()):
                    await self._has_work.wait()
            self._has_work.clear()
            poll_ids, self._to_read = (self._to_read & self._polls.keys()) | self._find_closing(), set()
            if poll_ids:
                await self._read(list(poll_ids))
            await asyncio.sleep(PAUSE_S)

    def _schedule(self, poll_id: UUID) -> None:
        self._to_read.add(poll_id)
        self._has_work.set()

    def _next_closing_s(self) -> float | None:
        """Return the seconds until the next poll closes, which is not announced."""
        soonest = min((followed.closes_in_s for followed in self._polls.values()), default=float("inf"))
        return None if soonest == float("inf") else soonest

    def _find_closing(self) -> set[UUID]:
        return {poll_id for poll_id, followed in self._polls.items() if followed.closes_in_s <= 0}

    async def _read(self, poll_ids: Sequence[UUID]) -> None:
        try:
            for start in range(0, len(poll_ids), POLLS_PER_READ):
                part = poll_ids[start : start + POLLS_PER_READ]
                self._update(part, await select_watched(self._database, part))
        except DatabaseUnavailable as error:
            _log.warning("followed polls were not read; they are read again in 1 s", error=str(error))
            await asyncio.sleep(RETRY_S)

    def _update(self, poll_ids: Sequence[UUID], states: Mapping[UUID, PollState]) -> None:
        for poll_id in poll_ids:
            if poll_id in self._polls:
                self._polls[poll_id].update(states.get(poll_id))


def _version(state: PollState) -> tuple[int, int, bool]:
    return state.poll.version, state.revision, state.is_closed
