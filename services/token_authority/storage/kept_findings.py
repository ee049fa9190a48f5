"""Findings that administrators keep, in PostgreSQL, until their time is over."""

from datetime import datetime
from typing import Final

from services.token_authority.domain.review import KeptFinding
from shared.runtime.postgres.database import Connection

KEPT: Final = "token_authority.kept_finding k"
"""Kept findings as `k`."""
IS_KEPT: Final = "k.token_id = t.id AND k.kind = {kind} AND k.kept_until > {now}"
"""The condition that `k` is the finding of this kind of the token `t`, and that it is kept."""
NOT_KEPT: Final = f"NOT EXISTS (SELECT FROM {KEPT} WHERE {IS_KEPT} OFFSET 0)"
"""The condition that the finding of `t` is not kept. `OFFSET 0` prevents a join, which could change the order in which
the planner reads tokens: the condition is one look at an index for each token that meets the others.
"""

_UPSERT: Final = """
    -- upsert_kept_finding: keep a finding, or keep it until another time
    INSERT INTO token_authority.kept_finding (token_id, kind, kept_until, kept_by) VALUES ($1, $2, $3, $4)
    ON CONFLICT (token_id, kind) DO UPDATE SET kept_until = EXCLUDED.kept_until, kept_by = EXCLUDED.kept_by
"""
_DELETE_ENDED: Final = """
    -- delete_ended_kept_findings: some findings that are no longer kept, without waiting for those that others lock
    DELETE FROM token_authority.kept_finding WHERE (token_id, kind) IN (
        SELECT token_id, kind FROM token_authority.kept_finding
        WHERE kept_until <= $1 ORDER BY kept_until LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""


async def upsert_kept_finding(connection: Connection, kept: KeptFinding) -> None:
    """Store a kept finding, in place of an earlier one of the same kind. The caller has locked the token."""
    await connection.execute(_UPSERT, kept.token_id, kept.kind, kept.kept_until, kept.kept_by)


async def delete_ended_kept_findings(connection: Connection, now: datetime, limit: int) -> None:
    """Delete up to `limit` findings that are no longer kept at `now`."""
    await connection.execute(_DELETE_ENDED, now, limit)
