"""Single polls, read outside transactions: those that are asked for together by one statement."""

from collections.abc import Awaitable, Sequence
from uuid import UUID

from services.polls.domain.state import PollState
from services.polls.storage.polls import select_some
from shared.runtime.postgres.batched_reads import BatchedReads
from shared.runtime.postgres.database import Database

_Key = tuple[str, UUID]
"""The site and the id of a poll, which is only found by both."""


class PollReads:
    """Reads polls. Create one instance per process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reads: BatchedReads[_Key, PollState] = BatchedReads(self._select)

    def select_poll(self, site: str, poll_id: UUID) -> Awaitable[PollState | None]:
        """Return the poll, or `None` if the site has no poll with this id."""
        return self._reads.get((site, poll_id))

    async def _select(self, keys: Sequence[_Key]) -> dict[_Key, PollState]:
        found = await select_some(self._database, [site for site, _ in keys], [poll_id for _, poll_id in keys])
        return {(site, state.poll.id): state for site, state in found}
