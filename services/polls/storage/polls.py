"""Polls in PostgreSQL, each read with its tally in one statement. A caller names a poll within its site alone."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from services.polls.domain.poll import Option, Poll, PollSpec, Settings, closes_at
from services.polls.domain.results import Tally
from services.polls.domain.state import PollState
from shared.contract.scope import Place
from shared.runtime.postgres.database import Connection, Row

MANY_LIMIT_S: Final = 60.0
"""How long a statement over all ballots of a poll may take."""

Position = tuple[datetime, UUID]
"""Behind which poll a page begins."""
FROM_THE_START: Final[Position] = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))

STATE: Final = """
    poll.id, poll.workspace, poll.content, poll.container, poll.title, poll.description, poll.options, poll.settings,
    poll.version, poll.created_at, poll.updated_at,
    tally.participants, tally.votes, tally.counts, tally.revision, clock_timestamp() AS at
"""
"""The columns that `state_of` reads."""

_FROM: Final = "FROM polls.poll JOIN polls.tally ON tally.poll_id = poll.id"
_AT_PLACE: Final = "poll.site = $1 AND poll.workspace = $2 AND poll.content = $3 AND poll.container = $4"

_INSERT: Final = """
    -- insert_poll: a new poll at a place
    INSERT INTO polls.poll
        (site, workspace, content, container, id, title, description, options, settings, closes_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    RETURNING created_at, updated_at, version
"""
_SELECT_PLACE: Final = f"""
    -- select_polls: the polls at a place, the oldest first
    SELECT {STATE} {_FROM} WHERE {_AT_PLACE} AND (poll.created_at, poll.id) > ($5, $6)
    ORDER BY poll.created_at, poll.id LIMIT $7
"""
_SELECT_ONE: Final = f"""
    -- select_poll: one poll of a site
    SELECT {STATE} {_FROM} WHERE poll.site = $1 AND poll.id = $2
"""
_SELECT_MANY: Final = f"""
    -- select_watched: some polls, of whatever site
    SELECT {STATE} {_FROM} WHERE poll.id = ANY($1)
"""
_SELECT_PLACES: Final = """
    -- select_places: where some polls of a site are
    SELECT id, workspace, content, container FROM polls.poll WHERE site = $1 AND id = ANY($2)
"""
_LOCK: Final = """
    -- lock_polls: keep others from changing some polls of a site, or voting in them, until the transaction ends
    SELECT id FROM polls.poll WHERE site = $1 AND id = ANY($2) ORDER BY id FOR UPDATE
"""
_UPDATE: Final = """
    -- update_poll: replace what a client writes of a poll
    UPDATE polls.poll
    SET title = $3, description = $4, options = $5, settings = $6, closes_at = $7,
        version = version + 1, updated_at = clock_timestamp()
    WHERE site = $1 AND id = $2
"""
_DELETE: Final = """
    -- delete_poll: remove a poll and all its ballots
    DELETE FROM polls.poll WHERE site = $1 AND id = $2
"""


async def insert_poll(connection: Connection, site: str, place: Place, poll_id: UUID, draft: PollSpec) -> PollState:
    """Keep a new poll, in which nobody has voted."""
    where = (site, place.workspace, place.content, place.container)
    (row,) = await connection.fetch(_INSERT, *where, poll_id, *_values(draft))
    poll = Poll(poll_id, place, draft, row["version"], row["created_at"], row["updated_at"])
    return PollState(poll, Tally(0, 0, {}), revision=0, at=row["created_at"])


async def select_polls(
    connection: Connection, site: str, place: Place, behind: Position | None, limit: int
) -> list[PollState]:
    """The first `limit` of the polls at the place that come behind the position, in the order of creation."""
    where = (site, place.workspace, place.content, place.container)
    rows = await connection.fetch(_SELECT_PLACE, *where, *(behind or FROM_THE_START), limit)
    return [state_of(row) for row in rows]


async def select_poll(connection: Connection, site: str, poll_id: UUID) -> PollState | None:
    """The poll, if the site has it."""
    row = await connection.fetchrow(_SELECT_ONE, site, poll_id)
    return state_of(row) if row else None


async def select_watched(connection: Connection, poll_ids: Sequence[UUID]) -> dict[UUID, PollState]:
    """Those of the polls that there are, by their ids; whoever asks has been let in to each."""
    return {row["id"]: state_of(row) for row in await connection.fetch(_SELECT_MANY, poll_ids)}


async def select_places(connection: Connection, site: str, poll_ids: Collection[UUID]) -> dict[UUID, Place]:
    """Where those of the polls are that the site has, which is for good."""
    rows = await connection.fetch(_SELECT_PLACES, site, poll_ids)
    return {row["id"]: Place(row["workspace"], row["content"], row["container"]) for row in rows}


async def lock_polls(connection: Connection, site: str, poll_ids: Sequence[UUID]) -> None:
    """Keep the polls as they are for this transaction, in an order that keeps two from waiting for each other."""
    await connection.fetch(_LOCK, site, poll_ids)


async def update_poll(connection: Connection, site: str, poll_id: UUID, draft: PollSpec) -> None:
    """Replace what a client writes of the poll, which has been locked."""
    await connection.execute(_UPDATE, site, poll_id, *_values(draft))


async def delete_poll(connection: Connection, site: str, poll_id: UUID) -> None:
    """Remove the poll with all its ballots."""
    await connection.execute(_DELETE, site, poll_id, limit_s=MANY_LIMIT_S)


def state_of(row: Row) -> PollState:
    """What a row with the columns of `STATE` says."""
    draft = PollSpec(
        title=row["title"],
        description=row["description"],
        options=msgspec.json.decode(row["options"], type=tuple[Option, ...]),
        settings=msgspec.json.decode(row["settings"], type=Settings),
    )
    place = Place(row["workspace"], row["content"], row["container"])
    poll = Poll(row["id"], place, draft, row["version"], row["created_at"], row["updated_at"])
    counts = msgspec.json.decode(row["counts"], type=dict[str, int])
    return PollState(poll, Tally(row["participants"], row["votes"], counts), row["revision"], row["at"])


def _values(draft: PollSpec) -> tuple[object, ...]:
    return draft.title, draft.description, _json(draft.options), _json(draft.settings), closes_at(draft.settings)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
