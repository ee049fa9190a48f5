"""Read polls and ballots outside transactions. One statement reads what several requests need at the same time."""

from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from services.polls.domain.state import PollState
from services.polls.storage.ballots import BallotKey, FoundBallot, select_ballots
from services.polls.storage.links import FoundLinkVoter, LinkVoterKey, select_voters
from services.polls.storage.polls import PageKey, select_pages, select_polls_by_id, select_time
from shared.runtime.postgres.batched_reads import BatchedReads
from shared.runtime.postgres.database import Database

POLLS_PER_PAGE: Final = 64
"""The number of polls that are read and encoded in one go, so that other requests are served in between."""

MAX_PAGES: Final = 16
"""The largest number of pages that one statement reads. Each may have `POLLS_PER_PAGE` polls."""

_Key = tuple[str, UUID]
"""The site and the id of a poll, which is only found by both."""


class PollReads:
    """Reads polls. Create one instance per process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._polls: BatchedReads[_Key, PollState] = BatchedReads(self._select_polls)
        self._times: BatchedReads[None, datetime] = BatchedReads(self._select_time)
        self._ballots: BatchedReads[BallotKey, FoundBallot] = BatchedReads(self._select_ballots)
        self._link_voters: BatchedReads[LinkVoterKey, FoundLinkVoter] = BatchedReads(self._select_link_voters)
        self._pages: BatchedReads[PageKey, list[PollState]] = BatchedReads(self._select_pages, max_keys=MAX_PAGES)

    async def select_time(self) -> datetime:
        """Return the time of the database."""
        now = await self._times.get(None)
        if now is None:
            raise RuntimeError("PostgreSQL has not returned its time")
        return now

    async def _select_time(self, _keys: Sequence[None]) -> dict[None, datetime]:
        return {None: await select_time(self._database)}

    def select_poll(self, site: str, poll_id: UUID) -> Awaitable[PollState | None]:
        """Return the poll, or `None` if the site has no poll with this id."""
        return self._polls.get((site, poll_id))

    async def select_page(self, page: PageKey) -> list[PollState]:
        """Return up to `POLLS_PER_PAGE` polls of the page, the oldest first."""
        return await self._pages.get(page) or []

    def select_ballot(self, key: BallotKey) -> Awaitable[FoundBallot | None]:
        """Return the poll with the participant's ballot, or `None` if the site has no poll with this id."""
        return self._ballots.get(key)

    def select_link_voter(self, key: LinkVoterKey) -> Awaitable[FoundLinkVoter | None]:
        """Return the link with its poll and the participant's ballot, or `None` if the link does not work."""
        return self._link_voters.get(key)

    async def _select_link_voters(self, keys: Sequence[LinkVoterKey]) -> dict[LinkVoterKey, FoundLinkVoter]:
        return await select_voters(self._database, keys)

    async def _select_ballots(self, keys: Sequence[BallotKey]) -> dict[BallotKey, FoundBallot]:
        return await select_ballots(self._database, keys)

    async def _select_pages(self, pages: Sequence[PageKey]) -> dict[PageKey, list[PollState]]:
        return await select_pages(self._database, pages, POLLS_PER_PAGE)

    async def _select_polls(self, keys: Sequence[_Key]) -> dict[_Key, PollState]:
        found = await select_polls_by_id(self._database, [site for site, _ in keys], [poll_id for _, poll_id in keys])
        return {(site, state.poll.id): state for site, state in found}
