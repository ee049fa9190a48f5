"""Sites in PostgreSQL."""

from typing import Final

from services.token_authority.domain.site import Site
from shared.runtime.postgres.database import Connection, Row

_LOCK: Final = """
    -- lock_bootstrap: lock until the transaction ends
    SELECT pg_advisory_xact_lock(hashtext('token_authority first start'))
"""
_INSERT: Final = """
    -- insert_site: a new site
    INSERT INTO token_authority.site (id, name, endpoint_id, created_at) VALUES ($1, $2, $3, $4)
"""
_SELECT: Final = """
    -- select_sites: every site, the default one first
    SELECT id, name, endpoint_id, created_at FROM token_authority.site ORDER BY created_at, id
"""


async def lock_bootstrap(connection: Connection) -> None:
    """Let one process at a time bootstrap: lock until the transaction ends."""
    await connection.execute(_LOCK)


async def insert_site(connection: Connection, site: Site) -> None:
    """Store a new site."""
    await connection.execute(_INSERT, site.id, site.name, site.endpoint_id, site.created_at)


async def select_sites(connection: Connection) -> list[Site]:
    """Return every site. The first one, the oldest, is the default."""
    return [_read_site(row) for row in await connection.fetch(_SELECT)]


def _read_site(row: Row) -> Site:
    return Site(id=row["id"], name=row["name"], endpoint_id=row["endpoint_id"], created_at=row["created_at"])
