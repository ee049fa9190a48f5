"""Polls that clients follow by event streams. Each is read once, and rendered once per audience, for all followers."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar
from uuid import UUID

import structlog

from services.polls.domain.poll import closing_time
from services.polls.domain.results import Audience
from services.polls.domain.state import PollState
from services.polls.storage.links import select_working
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
    """A poll as it was last read. `is_gone` is true after it was deleted.

    Some followers see it by a voting link. What they see was read before their link was found to work, so no vote that
    was cast after the end of the link is in it.
    """

    def __init__(self, state: PollState) -> None:
        self.is_gone = False
        self._state = state
        self._read_at_s = elapsed_s()
        self._rendered: dict[tuple[Callable[..., Any], Audience], Any] = {}
        self._up_to_date: set[tuple[Callable[..., Any], Audience]] = set()
        self._followers: set[Callable[[], None]] = set()
        self._links: Counter[UUID] = Counter()
        self._ended_links: set[UUID] = set()

    def render(self, render: Callable[[PollState, Audience, T | None], T], audience: Audience) -> T:
        """Return what `render` makes of the poll for the audience, from a cache if the poll has not changed.

        The third argument of `render` is its earlier result for the audience.
        """
        key = (render, audience)
        if key not in self._up_to_date:
            self._rendered[key] = render(self._state, audience, self._rendered.get(key))
            self._up_to_date.add(key)
        rendered: T = self._rendered[key]
        return rendered

    @property
    def links(self) -> Collection[UUID]:
        """The links by which followers see the poll."""
        return self._links.keys()

    def has_ended(self, link_id: UUID) -> bool:
        """Return whether a link of a follower no longer worked after the last read."""
        return link_id in self._ended_links

    @property
    def closes_in_s(self) -> float:
        """Seconds until the poll closes by its end date, by the clock of the database; infinite if it does not."""
        end = closing_time(self._state.poll.spec.settings)
        if end is None or self._state.is_closed or self.is_gone:
            return float("inf")
        return (end - self._state.at).total_seconds() - (elapsed_s() - self._read_at_s)

    def update(self, state: PollState | None, ended_links: Collection[UUID] = ()) -> None:
        """Store a state that was read, `None` if the poll was deleted, and which links did not work after that.

        Call the followers if any of this has changed.
        """
        has_changed = not self._ended_links.issuperset(ended_links)
        self._ended_links.update(ended_links)
        if state is None:
            self.is_gone = has_changed = True
        else:
            if _version(state) != _version(self._state):
                has_changed = True
                self._up_to_date.clear()
            self._state, self._read_at_s = state, elapsed_s()
        if has_changed:
            for on_change in self._followers:
                on_change()

    def update_if_newer(self, state: PollState) -> None:
        """Do the same as `update`, if the state is newer; it was read by another caller.

        With links of followers, wait for the next read, which finds out whether they work.
        """
        if state.at > self._state.at and not self._links:
            self.update(state)

    def add_follower(self, on_change: Callable[[], None], link_id: UUID | None) -> None:
        """Call `on_change` after each read that finds a change. `link_id` is the link by which the follower sees it."""
        self._followers.add(on_change)
        if link_id is not None:
            self._links[link_id] += 1

    def remove_follower(self, on_change: Callable[[], None], link_id: UUID | None) -> bool:
        """Stop calling `on_change`. Return whether no follower is left."""
        self._followers.discard(on_change)
        if link_id is not None:
            self._links[link_id] -= 1
            if not self._links[link_id]:
                del self._links[link_id]
                self._ended_links.discard(link_id)
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
    def follow(
        self, state: PollState, on_change: Callable[[], None], link_id: UUID | None = None
    ) -> Generator[FollowedPoll, None, None]:
        """Follow a poll that was read as `state`. Call `on_change` whenever it has changed, or the link has ended."""
        poll_id = state.poll.id
        followed = self._polls.setdefault(poll_id, FollowedPoll(state))
        followed.update_if_newer(state)
        followed.add_follower(on_change, link_id)
        self._schedule(poll_id)
        try:
            with self._feed.watch(poll_id, lambda: self._schedule(poll_id)):
                yield followed
        finally:
            if followed.remove_follower(on_change, link_id):
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
                states = await select_watched(self._database, part)
                followed = [self._polls[poll_id] for poll_id in part if poll_id in self._polls]
                links = {link_id for each in followed for link_id in each.links}
                working = await select_working(self._database, links) if links else set()
                self._update(part, states, links - working)
        except DatabaseUnavailable as error:
            _log.warning("followed polls were not read; they are read again in 1 s", error=str(error))
            await asyncio.sleep(RETRY_S)

    def _update(self, poll_ids: Sequence[UUID], states: Mapping[UUID, PollState], ended: Collection[UUID]) -> None:
        for poll_id in poll_ids:
            followed = self._polls.get(poll_id)
            if followed is not None:
                followed.update(states.get(poll_id), [each for each in followed.links if each in ended])


def _version(state: PollState) -> tuple[int, int, bool]:
    return state.poll.version, state.revision, state.is_closed
