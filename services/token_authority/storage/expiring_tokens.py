"""Count tokens that expire soon in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from shared.runtime.postgres.database import Database

COUNT_LIMIT_S: Final = 10.0
"""Enough for some million tokens; it is longer than the usual limit of a statement."""

_COUNT_EXPIRING: Final = """
    -- count_expiring_tokens: active tokens that expire within each of these intervals
    SELECT within, count(t.id) AS tokens
    FROM unnest($2::interval[]) AS within
    LEFT JOIN token_authority.token t
      ON coalesce(t.expires_at, 'infinity') > $1 AND coalesce(t.expires_at, 'infinity') <= $1 + within
     AND t.revoked_at IS NULL AND t.disabled_at IS NULL
    GROUP BY within
"""


async def count_expiring(database: Database, now: datetime, within: Sequence[timedelta]) -> list[int]:
    """Return how many active tokens expire within each of these times after `now`."""
    async with database.transaction(COUNT_LIMIT_S) as transaction:
        await transaction.limit_statements(COUNT_LIMIT_S)
        rows = await transaction.fetch(_COUNT_EXPIRING, now, within)
    found = {row["within"]: row["tokens"] for row in rows}
    return [found[each] for each in within]
