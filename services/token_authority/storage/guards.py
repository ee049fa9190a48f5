"""Guards' leases in PostgreSQL: who may answer from a cache, and how far each has applied the change log."""

from collections.abc import Mapping
from typing import Final

from services.token_authority.domain.lease import GuardKey, Lease
from shared.runtime.postgres.database import Connection, Row

_RENEW: Final = """
    -- renew_leases: guards' leases, with what each says it has applied; in order, so that no two of these deadlock.
    -- A guard that was granted a longer lease by another process may be using that one still.
    INSERT INTO token_authority.guard_lease (client_id, guard_id, applied, lease_ms)
    SELECT client_id, guard_id, applied, $4
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS asking (client_id, guard_id, applied)
    ORDER BY client_id, guard_id
    ON CONFLICT (client_id, guard_id) DO UPDATE
    SET applied = EXCLUDED.applied, lease_ms = greatest(guard_lease.lease_ms, EXCLUDED.lease_ms),
        renewal = gen_random_uuid()
"""
_SELECT_LEASES: Final = """
    -- select_leases: every lease on record
    SELECT client_id, guard_id, applied, lease_ms, renewal FROM token_authority.guard_lease
"""
_RELEASE: Final = """
    -- release_lease: a guard that has given its lease back
    DELETE FROM token_authority.guard_lease WHERE client_id = $1 AND guard_id = $2
"""
_REMOVE_EXPIRED: Final = """
    -- remove_expired: a lease that has not been renewed since it was seen with this renewal
    DELETE FROM token_authority.guard_lease WHERE client_id = $1 AND guard_id = $2 AND renewal = $3 RETURNING guard_id
"""


async def renew_leases(connection: Connection, applied: Mapping[GuardKey, int], lease_ms: int) -> None:
    """Put leases on record. The caller holds `lock_log_shared`."""
    client_ids, guard_ids = [guard.client_id for guard in applied], [guard.guard_id for guard in applied]
    await connection.execute(_RENEW, client_ids, guard_ids, list(applied.values()), lease_ms)


async def select_leases(connection: Connection) -> list[Lease]:
    """Every lease on record."""
    return [_lease(row) for row in await connection.fetch(_SELECT_LEASES)]


async def release_lease(connection: Connection, guard: GuardKey) -> None:
    """Forget a lease that its guard uses no more."""
    await connection.execute(_RELEASE, *guard)


async def remove_expired(connection: Connection, lease: Lease) -> bool:
    """Forget a lease; false where it has been renewed, or forgotten, meanwhile."""
    return await connection.fetchrow(_REMOVE_EXPIRED, *lease.guard, lease.renewal) is not None


def _lease(row: Row) -> Lease:
    return Lease(
        guard=GuardKey(row["client_id"], row["guard_id"]),
        applied=row["applied"],
        lease_s=row["lease_ms"] / 1000,
        renewal=row["renewal"],
    )
