"""Single polls, read outside transactions: those that are asked for together by one statement."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from services.polls.domain.state import PollState
from services.polls.storage.polls import select_some
from shared.runtime.postgres.batched_reads import BatchedReads
from shared.runtime.postgres.database import Database


class PollKey(Struct, frozen=True):
    """A poll is only found together with its site."""

    site: str
    id: UUID


class PollReads:
    """Reads polls. Create one instance per process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reads = BatchedReads(self._select)

    async def select_poll(self, site: str, poll_id: UUID) -> PollState | None:
        """Return the poll, or `None` if the site has no poll with this id."""
        return await self._reads.get(PollKey(site, poll_id))

    async def _select(self, keys: Sequence[PollKey]) -> dict[PollKey, PollState]:
        found = await select_some(self._database, [key.site for key in keys], [key.id for key in keys])
        return {PollKey(site, state.poll.id): state for site, state in found}
