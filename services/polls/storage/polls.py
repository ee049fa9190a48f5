"""Polls in PostgreSQL. The site and the place are in every WHERE: what is elsewhere does not exist."""

from typing import Final
from uuid import UUID

import msgspec

from services.polls.domain.poll import Draft, Option, Poll, Settings
from shared.contract.scope import Place
from shared.runtime.postgres import Executor, Row

_COLUMNS: Final = "id, title, description, options, settings"
_AT_PLACE: Final = "site = $1 AND workspace = $2 AND content = $3 AND container = $4"

_INSERT: Final = """
    -- insert_poll: a new poll at a place
    INSERT INTO polls.poll (site, workspace, content, container, id, title, description, options, settings)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_SELECT_PLACE: Final = f"""
    -- select_polls: every poll at a place, the oldest first
    SELECT {_COLUMNS} FROM polls.poll WHERE {_AT_PLACE} ORDER BY created_at, id
"""  # noqa: S608
_SELECT_ONE: Final = f"""
    -- select_poll: one poll, if it is at this place
    SELECT {_COLUMNS} FROM polls.poll WHERE {_AT_PLACE} AND id = $5
"""  # noqa: S608
_UPDATE: Final = f"""
    -- update_poll: replace a poll, if it is at this place
    UPDATE polls.poll
    SET title = $6, description = $7, options = $8, settings = $9, updated_at = clock_timestamp()
    WHERE {_AT_PLACE} AND id = $5
    RETURNING id
"""  # noqa: S608
_DELETE: Final = f"""
    -- delete_poll: remove a poll, if it is at this place
    DELETE FROM polls.poll WHERE {_AT_PLACE} AND id = $5 RETURNING id
"""  # noqa: S608


async def insert_poll(executor: Executor, site: str, place: Place, poll: Poll) -> None:
    """Keep a new poll."""
    await executor.execute(_INSERT, *_at(site, place), poll.id, *_values(poll.draft))


async def select_polls(executor: Executor, site: str, place: Place) -> list[Poll]:
    """Every poll at the place, in the order of creation."""
    return [_poll(row) for row in await executor.fetch(_SELECT_PLACE, *_at(site, place))]


async def select_poll(executor: Executor, site: str, place: Place, poll_id: UUID) -> Poll | None:
    """The poll, if it is at the place."""
    row = await executor.fetchrow(_SELECT_ONE, *_at(site, place), poll_id)
    return _poll(row) if row else None


async def update_poll(executor: Executor, site: str, place: Place, poll: Poll) -> bool:
    """Replace the poll of this id; whether it is at the place."""
    return await executor.fetchrow(_UPDATE, *_at(site, place), poll.id, *_values(poll.draft)) is not None


async def delete_poll(executor: Executor, site: str, place: Place, poll_id: UUID) -> bool:
    """Remove the poll; whether it was at the place."""
    return await executor.fetchrow(_DELETE, *_at(site, place), poll_id) is not None


def _at(site: str, place: Place) -> tuple[str, str, str, str]:
    return site, place.workspace, place.content, place.container


def _values(draft: Draft) -> tuple[str, str, str, str]:
    return draft.title, draft.description, _json(draft.options), _json(draft.settings)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _poll(row: Row) -> Poll:
    draft = Draft(
        title=row["title"],
        description=row["description"],
        options=msgspec.json.decode(row["options"], type=tuple[Option, ...]),
        settings=msgspec.json.decode(row["settings"], type=Settings),
    )
    return Poll(id=row["id"], draft=draft)
