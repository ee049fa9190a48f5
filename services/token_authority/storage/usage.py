"""Counts of uses and refusals of tokens in PostgreSQL, in total and by day in UTC."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from services.token_authority.domain.usage import DayOfUse, Use
from shared.contract.sync import TokenUse
from shared.runtime.postgres.database import Connection, Row

USE_COLUMNS: Final = "u.uses, u.refusals, u.last_used_at, u.last_used_address, u.last_used_user_agent"

_ADD: Final = """
    -- add_uses: counts reported by guards, in the order of token ids, so that two of these cannot deadlock
    WITH counted AS (
        SELECT t.id AS token_id, sum(c.uses)::bigint AS uses, sum(c.refusals)::bigint AS refusals,
               (array_agg(c.address ORDER BY c.ms_ago) FILTER (WHERE c.uses > 0))[1] AS address,
               (array_agg(c.user_agent ORDER BY c.ms_ago) FILTER (WHERE c.uses > 0))[1] AS user_agent,
               max(clock_timestamp() - c.ms_ago * interval '1 millisecond') AS at,
               max(clock_timestamp() - c.ms_ago * interval '1 millisecond') FILTER (WHERE c.uses > 0) AS used_at
        FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $6::text[], $7::text[])
             AS c (token_id, uses, refusals, ms_ago, address, user_agent)
        JOIN token_authority.token t ON t.id = c.token_id AND ($5::text[] IS NULL OR t.site_id = ANY ($5))
        GROUP BY t.id
    ),
    locked AS (
        SELECT token_id FROM token_authority.token_use WHERE token_id IN (SELECT token_id FROM counted)
        ORDER BY token_id FOR UPDATE
    ),
    added AS (
        UPDATE token_authority.token_use u
        SET uses = u.uses + c.uses, refusals = u.refusals + c.refusals,
            last_used_at = greatest(u.last_used_at, c.used_at),
            last_used_address = CASE WHEN c.used_at >= coalesce(u.last_used_at, '-infinity') THEN c.address
                                     ELSE u.last_used_address END,
            last_used_user_agent = CASE WHEN c.used_at >= coalesce(u.last_used_at, '-infinity') THEN c.user_agent
                                        ELSE u.last_used_user_agent END
        FROM counted c WHERE u.token_id = c.token_id AND u.token_id IN (SELECT token_id FROM locked)
        RETURNING u.token_id
    )
    INSERT INTO token_authority.token_day AS known (token_id, day, uses, refusals)
    SELECT token_id, (at AT TIME ZONE 'UTC')::date, uses, refusals FROM counted
    WHERE token_id IN (SELECT token_id FROM added) ORDER BY token_id
    ON CONFLICT (token_id, day) DO UPDATE
    SET uses = known.uses + EXCLUDED.uses, refusals = known.refusals + EXCLUDED.refusals
"""
_ADD_TO_SECRETS: Final = """
    -- add_secret_uses: when each secret was last used, in order, so that two of these cannot deadlock
    UPDATE token_authority.secret s
    SET last_used_at = greatest(s.last_used_at, clock_timestamp() - c.ms_ago * interval '1 millisecond')
    FROM unnest($1::text[], $2::bigint[]) AS c (secret_id, ms_ago)
    WHERE s.id = c.secret_id AND s.id IN (
        SELECT mine.id FROM token_authority.secret mine JOIN token_authority.token t ON t.id = mine.holder_id
        WHERE mine.id = ANY ($1) AND mine.holder_kind = 'token' AND ($3::text[] IS NULL OR t.site_id = ANY ($3))
        ORDER BY mine.id FOR UPDATE OF mine
    )
"""
_ADD_REFUSAL: Final = """
    -- add_refusal: count that a token was presented that does not work
    WITH added AS (
        UPDATE token_authority.token_use SET refusals = refusals + 1 WHERE token_id = $1 RETURNING token_id
    )
    INSERT INTO token_authority.token_day AS known (token_id, day, uses, refusals)
    SELECT token_id, ($2::timestamptz AT TIME ZONE 'UTC')::date, 0, 1 FROM added
    ON CONFLICT (token_id, day) DO UPDATE SET refusals = known.refusals + 1
"""
_SELECT: Final = f"""
    -- select_use: the counts of these tokens
    SELECT u.token_id, {USE_COLUMNS} FROM token_authority.token_use u WHERE u.token_id = ANY ($1)
"""  # noqa: S608
_SELECT_DAYS: Final = """
    -- select_days: the daily counts of a token, newest first
    SELECT day, uses, refusals FROM token_authority.token_day WHERE token_id = $1 ORDER BY day DESC LIMIT $2
"""
_TRIM_DAYS: Final = """
    -- trim_days: delete some of the daily counts before this day, oldest first
    DELETE FROM token_authority.token_day WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM token_authority.token_day WHERE day < $1 ORDER BY day LIMIT $2
    ))
"""


async def add_uses(connection: Connection, usage: Sequence[TokenUse], sites: Sequence[str] | None) -> None:
    """Add to the counts of tokens, and store from where each was used last, if that is reported.

    Skip tokens that are unknown or belong to another site.
    """
    ago = [min(use.last_used_ms_ago, _LONGEST_MS) for use in usage]
    token_ids, uses = [use.token_id for use in usage], [use.uses for use in usage]
    refusals, addresses = [use.refusals for use in usage], [use.last_address for use in usage]
    agents = [use.last_user_agent for use in usage]
    await connection.execute(_ADD, token_ids, uses, refusals, ago, sites, addresses, agents)


async def add_secret_uses(connection: Connection, usage: Sequence[TokenUse], sites: Sequence[str] | None) -> None:
    """Store when secrets were last used. Skip secrets that are unknown or of a token of another site."""
    used = sorted((use.secret_id, min(use.last_used_ms_ago, _LONGEST_MS)) for use in usage if use.uses)
    if used:
        await connection.execute(_ADD_TO_SECRETS, *map(list, zip(*used, strict=True)), sites)


async def add_refusal(connection: Connection, token_id: str, at: datetime) -> None:
    """Count a refusal of a token that does not work."""
    await connection.execute(_ADD_REFUSAL, token_id, at)


async def select_use(connection: Connection, token_ids: Sequence[str]) -> dict[str, Use]:
    """Return the counts of those tokens that have any, by token id."""
    rows = await connection.fetch(_SELECT, token_ids)
    return {row["token_id"]: read_use(row) for row in rows}


def read_use(row: Row) -> Use:
    """Return the counts in a row with `USE_COLUMNS`."""
    return Use(row["uses"], row["refusals"], row["last_used_at"], row["last_used_address"], row["last_used_user_agent"])


async def select_days(connection: Connection, token_id: str, days: int) -> list[DayOfUse]:
    """Return the counts of the last days on which there were any, newest first."""
    rows = await connection.fetch(_SELECT_DAYS, token_id, days)
    return [DayOfUse(row["day"], row["uses"], row["refusals"]) for row in rows]


async def trim_days(connection: Connection, before: date, limit: int) -> None:
    """Delete up to `limit` daily counts before this day."""
    await connection.execute(_TRIM_DAYS, before, limit)


_LONGEST_MS: Final = 10 * 365 * 86_400_000
