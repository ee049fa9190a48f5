"""Polls in PostgreSQL, read with their tallies. Every function except `select_watched` is limited to one site."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec.structs import astuple

from services.polls.domain.audit import MAX_CHANGES_PER_DAY, AuditHead
from services.polls.domain.consequence import Consequence
from services.polls.domain.listing import START, Position
from services.polls.domain.poll import Option, Poll, PollSpec, Settings, closing_time
from services.polls.domain.results import Tally
from services.polls.domain.state import PollState
from services.polls.storage.audit import INSERT_AUDIT, audit_values
from shared.contract.audit import NO_HASH, AuditRecord
from shared.contract.scope import Place
from shared.runtime.postgres.database import Connection, Row
from shared.runtime.process.kept_values import KeptValues

ALL_BALLOTS_LIMIT_S: Final = 60.0
"""The time limit of a statement that changes all ballots of a poll."""
KEPT_POLL_BYTES: Final = 16 * 1024 * 1024
"""About the memory of the polls that a process keeps, so that reading one again need not decode it."""
_kept_polls: Final[KeptValues[UUID, Poll]] = KeptValues(KEPT_POLL_BYTES)

STATE: Final = """
    poll.id, poll.workspace, poll.content, poll.container, poll.title, poll.description, poll.options, poll.settings,
    poll.version, poll.created_at, poll.updated_at, poll.changed_after_votes,
    tally.participants, tally.votes, tally.counts, tally.revision, clock_timestamp() AS at
"""
"""The columns that `read_state` reads."""

_FROM: Final = "FROM polls.poll JOIN polls.tally ON tally.poll_id = poll.id"

_TIME: Final = """
    -- select_time: the time of the database
    SELECT clock_timestamp() AS now
"""
_INSERT: Final = f"""
    -- insert_poll: a new poll at a place, and the first record of its audit trail
    WITH new_poll AS (
        INSERT INTO polls.poll (
            site, id, workspace, content, container, title, description, options, settings, closes_at, version,
            created_at, updated_at
        )
        VALUES ($1, $2, $3, $4, $5, $18, $19, $20, $21, $22, $23, $24, $25)
    )
    {INSERT_AUDIT}
"""  # noqa: S608
_SELECT_PAGES: Final = f"""
    -- select_polls: the polls at some places, each after a position, the oldest first. The inner SELECT of $1 hides the
    -- length of the array from the planner, which would otherwise plan each execution again, for longer than it takes.
    SELECT wanted.number, {STATE}
    FROM unnest((SELECT $1::text[]), $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::uuid[]) WITH ORDINALITY
        AS wanted (site, workspace, content, container, created_at, id, number),
    LATERAL (
        SELECT * FROM polls.poll
        WHERE poll.site = wanted.site AND poll.workspace = wanted.workspace AND poll.content = wanted.content
            AND poll.container = wanted.container AND (poll.created_at, poll.id) > (wanted.created_at, wanted.id)
        ORDER BY poll.created_at, poll.id LIMIT $7
    ) AS poll
    JOIN polls.tally ON tally.poll_id = poll.id
    ORDER BY wanted.number, poll.created_at, poll.id
"""  # noqa: S608
_SELECT_BY_ID: Final = f"""
    -- select_poll: some polls, each of a site
    SELECT poll.site, {STATE}
    FROM unnest($1::text[], $2::uuid[]) AS wanted (site, id)
    JOIN polls.poll ON poll.id = wanted.id AND poll.site = wanted.site
    JOIN polls.tally ON tally.poll_id = poll.id
"""  # noqa: S608
_SELECT_LOCKED: Final = f"""
    -- select_locked_poll: one poll of a site, which this transaction has locked, and the end of its audit trail
    SELECT {STATE}, coalesce(last.seq, 0) AS audit_seq, encode(last.hash, 'hex') AS audit_hash,
           CASE WHEN last.seq >= $3 THEN (
               SELECT edits.at FROM polls.audit_log AS edits
               WHERE edits.poll_id = poll.id AND edits.action NOT LIKE 'link.%'
               ORDER BY edits.seq DESC OFFSET $3 - 1 LIMIT 1
           ) END AS limit_at
    {_FROM}
    LEFT JOIN LATERAL (
        SELECT seq, hash FROM polls.audit_log WHERE poll_id = poll.id ORDER BY seq DESC LIMIT 1
    ) AS last ON true
    WHERE poll.site = $1 AND poll.id = $2
"""  # noqa: S608
_SELECT_WATCHED: Final = f"""
    -- select_watched: some polls, of any site
    SELECT {STATE} {_FROM} WHERE poll.id = ANY($1)
"""
_SELECT_PLACES: Final = """
    -- select_places: the places of some polls of a site
    SELECT id, workspace, content, container FROM polls.poll WHERE site = $1 AND id = ANY($2)
"""
_LOCK: Final = """
    -- lock_polls: lock some polls of a site against edits and votes until the transaction ends
    SELECT id FROM polls.poll WHERE site = $1 AND id = ANY($2) ORDER BY id FOR UPDATE
"""
_UPDATE: Final = """
    -- update_poll: replace the spec of a poll
    UPDATE polls.poll
    SET title = $3, description = $4, options = $5, settings = $6, closes_at = $7,
        changed_after_votes = $8, version = version + 1, updated_at = clock_timestamp()
    WHERE site = $1 AND id = $2
"""
_DELETE: Final = """
    -- delete_poll: delete a poll and all its ballots
    DELETE FROM polls.poll WHERE site = $1 AND id = $2
"""

_OPTIONS: Final = msgspec.json.Decoder(tuple[Option, ...])
_SETTINGS: Final = msgspec.json.Decoder(Settings)
_CHANGES: Final = msgspec.json.Decoder(dict[Consequence, datetime])
_COUNTS: Final = msgspec.json.Decoder(dict[str, int])


async def select_time(connection: Connection) -> datetime:
    """Return the time of the database, by which all replicas agree on what is closed."""
    (row,) = await connection.fetch(_TIME)
    return row["now"]  # type: ignore[no-any-return]


async def insert_poll(connection: Connection, site: str, poll: Poll, record: AuditRecord) -> None:
    """Insert a new poll, and the first record of its audit trail, in one statement."""
    values = (*_values(poll.spec), poll.version, poll.created_at, poll.updated_at)
    await connection.execute(_INSERT, *audit_values(site, poll, record), *values)


class PageKey(NamedTuple):
    """The polls at a place of a site after a position, or all of them."""

    site: str
    place: Place
    after: Position = START


async def select_pages(connection: Connection, pages: Sequence[PageKey], limit: int) -> dict[PageKey, list[PollState]]:
    """Return the polls of each page, the oldest first, up to `limit`."""
    found: dict[PageKey, list[PollState]] = {page: [] for page in pages}
    columns = zip(*((page.site, *astuple(page.place), *page.after) for page in pages), strict=True)
    for row in await connection.fetch(_SELECT_PAGES, *columns, limit):
        found[pages[row["number"] - 1]].append(read_state(row))
    return found


async def select_poll(connection: Connection, site: str, poll_id: UUID) -> PollState | None:
    """Return the poll, or `None` if the site has no poll with this id."""
    found = await select_polls_by_id(connection, [site], [poll_id])
    return found[0][1] if found else None


async def select_polls_by_id(
    connection: Connection, sites: Sequence[str], poll_ids: Sequence[UUID]
) -> list[tuple[str, PollState]]:
    """Return the polls that exist, each with its site. The n-th poll has to be of the n-th site."""
    return [(row["site"], read_state(row)) for row in await connection.fetch(_SELECT_BY_ID, sites, poll_ids)]


async def select_locked_poll(connection: Connection, site: str, poll_id: UUID) -> tuple[PollState, AuditHead] | None:
    """Return a poll that this transaction has locked, and the end of its audit trail; `None` if it does not exist."""
    row = await connection.fetchrow(_SELECT_LOCKED, site, poll_id, MAX_CHANGES_PER_DAY)
    if row is None:
        return None
    return read_state(row), AuditHead(row["audit_seq"], row["audit_hash"] or NO_HASH, row["limit_at"])


async def select_watched(connection: Connection, poll_ids: Sequence[UUID]) -> dict[UUID, PollState]:
    """Return those of the polls that exist, by id. The caller has authorized the access to each."""
    return {row["id"]: read_state(row) for row in await connection.fetch(_SELECT_WATCHED, poll_ids)}


async def select_places(connection: Connection, site: str, poll_ids: Collection[UUID]) -> dict[UUID, Place]:
    """Return the places of those of the polls that the site has. A poll never moves."""
    rows = await connection.fetch(_SELECT_PLACES, site, poll_ids)
    return {row["id"]: Place(row["workspace"], row["content"], row["container"]) for row in rows}


async def lock_polls(connection: Connection, site: str, poll_ids: Sequence[UUID]) -> None:
    """Lock the polls for this transaction, in the order of their ids, which prevents deadlocks."""
    await connection.fetch(_LOCK, site, poll_ids)


async def update_poll(
    connection: Connection,
    site: str,
    poll_id: UUID,
    spec: PollSpec,
    changed_after_votes: Mapping[Consequence, datetime],
) -> None:
    """Replace the spec of a poll that this transaction has locked."""
    await connection.execute(_UPDATE, site, poll_id, *_values(spec), _json(changed_after_votes))


async def delete_poll(connection: Connection, site: str, poll_id: UUID) -> None:
    """Delete the poll with all its ballots."""
    await connection.execute(_DELETE, site, poll_id, limit_s=ALL_BALLOTS_LIMIT_S)


def read_state(row: Row) -> PollState:
    """Return the poll and tally in a row with the columns of `STATE`."""
    poll = _kept_polls.get(row["id"])
    if poll is None or (poll.version, poll.updated_at) != (row["version"], row["updated_at"]):
        poll = _read_poll(row)
        _kept_polls.put(poll.id, poll, _size_of(row))
    tally = Tally(row["participants"], row["votes"], _read_counts(row["counts"]))
    return PollState(poll, tally, row["revision"], row["at"])


@lru_cache(1024)
def _read_counts(text: str) -> Mapping[str, int]:
    return _COUNTS.decode(text)


def _read_poll(row: Row) -> Poll:
    spec = PollSpec(
        title=row["title"],
        description=row["description"],
        options=_OPTIONS.decode(row["options"]),
        settings=_SETTINGS.decode(row["settings"]),
    )
    place = Place(row["workspace"], row["content"], row["container"])
    changed = _CHANGES.decode(row["changed_after_votes"])
    return Poll(row["id"], place, spec, row["version"], row["created_at"], row["updated_at"], changed)


def _size_of(row: Row) -> int:
    return 1000 + 2 * (len(row["title"]) + len(row["description"]) + len(row["options"]))


def _values(spec: PollSpec) -> tuple[object, ...]:
    return spec.title, spec.description, _json(spec.options), _json(spec.settings), closing_time(spec.settings)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
