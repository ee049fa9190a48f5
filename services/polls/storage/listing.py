"""Pages of polls below the paths that a token may read. The query has one branch for the paths of each length."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.polls.domain.listing import END, START, PollFilter, Position
from services.polls.domain.state import PollState
from services.polls.storage.polls import STATE, read_state
from shared.contract.scope import Path
from shared.runtime.postgres.database import Connection

_SEGMENTS: Final = ("workspace", "content", "container")

_PAGE: Final = """
    -- list_polls: the polls below some paths that meet the conditions, in the order of their creation
    WITH found AS ({branches}
        ORDER BY created_at {direction}, id {direction}
        LIMIT $6
    )
    SELECT {columns}
    FROM found JOIN polls.poll USING (id) JOIN polls.tally ON tally.poll_id = poll.id
    ORDER BY poll.created_at {direction}, poll.id {direction}
"""
_BRANCH: Final = """
        (
            SELECT matching.created_at, matching.id
            FROM unnest($7::text[], $8::text[], $9::text[]) AS path (workspace, content, container),
            LATERAL (
                SELECT poll.created_at, poll.id
                FROM polls.poll
                WHERE poll.site = $1 AND (poll.created_at, poll.id) {beyond} ($2, $3) {below}
                    AND ($4::timestamptz IS NULL OR poll.updated_at >= $4)
                    AND ($5::boolean IS NULL OR $5 = coalesce(poll.closes_at <= clock_timestamp(), false))
                ORDER BY poll.created_at {direction}, poll.id {direction}
                LIMIT $6
            ) AS matching
            WHERE num_nonnulls(path.workspace, path.content, path.container) = {depth}
        )"""


async def select_page(
    connection: Connection,
    site: str,
    conditions: PollFilter,
    after: Position | None,
    limit: int,
    *,
    newest_first: bool = False,
) -> list[PollState]:
    """Return up to `limit` polls that meet the conditions after a position, the oldest or the newest first."""
    is_closed = None if conditions.status is None else conditions.status == "closed"
    columns = [
        [path[depth] if depth < len(path) else None for path in conditions.paths] for depth in range(len(_SEGMENTS))
    ]
    values = (*(after or (END if newest_first else START)), conditions.updated_since, is_closed, limit)
    rows = await connection.fetch(_page(conditions.paths, newest_first=newest_first), site, *values, *columns)
    return [read_state(row) for row in rows]


def _page(paths: Sequence[Path], *, newest_first: bool) -> str:
    order = {"beyond": "<", "direction": "DESC"} if newest_first else {"beyond": ">", "direction": "ASC"}
    branches = [_branch(depth, order) for depth in sorted({len(path) for path in paths})]
    return _PAGE.format(branches="\n        UNION ALL".join(branches), columns=STATE, direction=order["direction"])


def _branch(depth: int, order: Mapping[str, str]) -> str:
    below = " ".join(f"AND poll.{name} = path.{name}" for name in _SEGMENTS[:depth])
    return _BRANCH.format(below=below, depth=depth, **order)
