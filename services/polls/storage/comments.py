"""Comments in PostgreSQL, read without the ballots that they belong to, in the order of their hashes."""

from typing import Final
from uuid import UUID

from services.polls.domain.ballot import Comment
from shared.runtime.postgres.database import Connection

FIRST: Final = -(2**63)
"""A position at or before every comment."""

_LIST: Final = """
    -- list_comments: the comments of a poll, each once, from a position on
    SELECT hashtextextended(comment, 0) AS position, comment, count(*) AS ballots
    FROM polls.ballot
    WHERE poll_id = $1 AND comment IS NOT NULL AND hashtextextended(comment, 0) >= $2
    GROUP BY position, comment
    ORDER BY position, comment COLLATE "C"
    LIMIT $3
"""


async def list_comments(connection: Connection, poll_id: UUID, first: int, limit: int) -> list[Comment]:
    """Return up to `limit` comments of the poll from the position `first` on. Positions are hashes of texts."""
    rows = await connection.fetch(_LIST, poll_id, first, limit)
    return [Comment(row["comment"], row["ballots"], row["position"]) for row in rows]
