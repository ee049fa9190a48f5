"""Leases of guards in PostgreSQL, each with the last change that its guard has applied."""

from collections.abc import Mapping
from typing import Final

from services.token_authority.domain.lease import GuardKey, Lease, Leases
from services.token_authority.storage.restoration import IS_RESTORED, require_not_restored
from shared.runtime.postgres.database import Connection, Row

_RENEW: Final = """
    -- renew_leases: leases with what each guard has applied, in order, so that two of these cannot deadlock. A guard
    -- may still use a longer lease from another process, so the longer one is stored.
    INSERT INTO token_authority.guard_lease (client_id, guard_id, applied, lease_ms)
    SELECT client_id, guard_id, applied, $4
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS asking (client_id, guard_id, applied)
    ORDER BY client_id, guard_id
    ON CONFLICT (client_id, guard_id) DO UPDATE
    SET applied = EXCLUDED.applied, lease_ms = greatest(guard_lease.lease_ms, EXCLUDED.lease_ms),
        renewal = gen_random_uuid()
"""
_SELECT_LEASES: Final = f"""
    -- select_leases: every lease, the newest change, and whether the database was restored, from one snapshot
    SELECT state.head, state.is_restored, client_id, guard_id, applied, lease_ms, renewal
    FROM (SELECT (SELECT coalesce(max(seq), 0) FROM token_authority.change_log) AS head, {IS_RESTORED}) AS state
    LEFT JOIN token_authority.guard_lease ON true
"""  # noqa: S608
_SELECT_LONGEST: Final = """
    -- select_longest_lease: the length of the longest lease
    SELECT coalesce(max(lease_ms), 0) AS lease_ms FROM token_authority.guard_lease
"""
_RELEASE: Final = """
    -- release_lease: delete the lease of a guard
    DELETE FROM token_authority.guard_lease WHERE client_id = $1 AND guard_id = $2
"""
_REMOVE_EXPIRED: Final = """
    -- remove_expired: delete a lease, unless it was renewed
    DELETE FROM token_authority.guard_lease WHERE client_id = $1 AND guard_id = $2 AND renewal = $3 RETURNING guard_id
"""
_DELETE_ALL: Final = """
    -- delete_leases: delete every lease
    DELETE FROM token_authority.guard_lease
"""


async def renew_leases(connection: Connection, applied: Mapping[GuardKey, int], lease_ms: int) -> None:
    """Store leases. The caller has locked the log, shared."""
    client_ids, guard_ids = [guard.client_id for guard in applied], [guard.guard_id for guard in applied]
    await connection.execute(_RENEW, client_ids, guard_ids, list(applied.values()), lease_ms)


async def select_leases(connection: Connection) -> Leases:
    """Return every lease, and the newest change. Raise `Restored`."""
    rows = await connection.fetch(_SELECT_LEASES)
    require_not_restored(rows[0])
    return Leases([_read_lease(row) for row in rows if row["guard_id"] is not None], rows[0]["head"])


async def select_longest_lease(connection: Connection) -> float:
    """Return the length of the longest lease in seconds, or 0."""
    (row,) = await connection.fetch(_SELECT_LONGEST)
    return float(row["lease_ms"] / 1000)


async def release_lease(connection: Connection, guard: GuardKey) -> None:
    """Delete the lease of a guard that has released it."""
    await connection.execute(_RELEASE, *guard)


async def remove_expired(connection: Connection, lease: Lease) -> bool:
    """Delete an expired lease. Return false if it was renewed or deleted meanwhile."""
    return await connection.fetchrow(_REMOVE_EXPIRED, *lease.guard, lease.renewal) is not None


async def delete_leases(connection: Connection) -> None:
    """Delete every lease. The caller knows that none is in use."""
    await connection.execute(_DELETE_ALL)


def _read_lease(row: Row) -> Lease:
    return Lease(
        guard=GuardKey(row["client_id"], row["guard_id"]),
        applied=row["applied"],
        lease_s=row["lease_ms"] / 1000,
        renewal=row["renewal"],
    )
