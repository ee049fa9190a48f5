"""Services in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.token_authority.domain.secret import Secret
from services.token_authority.domain.service import Service, ServiceCredentials, ServiceLookup
from services.token_authority.storage.restoration import IS_RESTORED
from shared.runtime.postgres.database import Connection, Row

_COLUMNS: Final = """
    v.client_id, v.name, v.sites, v.public_key, v.created_at, v.created_by, v.disabled_at, v.disabled_by
"""

_SELECT_WITH_DIGESTS: Final = f"""
    -- select_service_to_authenticate: some enabled services, each with the digests of its secrets that work, and
    -- whether the database was restored
    SELECT state.is_restored, {_COLUMNS}, ARRAY(
        SELECT s.digest FROM token_authority.secret s
        WHERE s.holder_kind = 'service' AND s.holder_id = v.client_id AND NOT s.ended
          AND (s.ends_at IS NULL OR s.ends_at > $2)
    ) AS digests, ARRAY(
        SELECT s.digest FROM token_authority.secret s
        WHERE s.holder_kind = 'service' AND s.holder_id = v.client_id AND s.first_used_at IS NULL
    ) AS unused
    FROM (SELECT {IS_RESTORED}) AS state
    LEFT JOIN token_authority.service v ON v.client_id = ANY ($1) AND v.disabled_at IS NULL
"""  # noqa: S608
_SELECT: Final = f"""
    -- select_service: one service
    SELECT {_COLUMNS} FROM token_authority.service v WHERE v.client_id = $1
"""  # noqa: S608
_LOCK: Final = f"""
    -- lock_service: one service, locked until the transaction ends
    SELECT {_COLUMNS} FROM token_authority.service v WHERE v.client_id = $1 FOR UPDATE
"""  # noqa: S608
_SELECT_ALL: Final = f"""
    -- select_services: every service by client id
    SELECT {_COLUMNS} FROM token_authority.service v ORDER BY v.client_id
"""  # noqa: S608
_INSERT: Final = """
    -- insert_service: a new service; no row if its client id exists
    INSERT INTO token_authority.service (client_id, name, sites, public_key, created_at, created_by)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING client_id
"""
_UPDATE: Final = """
    -- update_service: the fields of a service that may change; the caller has locked it
    UPDATE token_authority.service
    SET name = $2, sites = $3, public_key = $4, disabled_at = $5, disabled_by = $6 WHERE client_id = $1
"""
_TAKE_OF_ENVIRONMENT: Final = """
    -- take_secret_of_environment: a new secret, or an old one that another secret of the environment had replaced; one
    -- that an administrator ended stays ended
    INSERT INTO token_authority.secret AS known (
        id, holder_kind, holder_id, digest, hint, created_at, from_environment
    )
    VALUES ($1, 'service', $2, $3, $4, $5, true)
    ON CONFLICT (digest) DO UPDATE SET ends_at = NULL, ended = false
    WHERE known.from_environment AND known.holder_id = EXCLUDED.holder_id AND known.ends_at IS NOT NULL
    RETURNING id
"""
_END_OTHERS_OF_ENVIRONMENT: Final = """
    -- end_other_secrets_of_environment: end the secrets that the environment set before
    UPDATE token_authority.secret SET ends_at = $3, ended = true
    WHERE holder_kind = 'service' AND holder_id = $1 AND from_environment AND digest <> $2
      AND (ends_at IS NULL OR ends_at > $3)
    RETURNING id
"""


async def select_services_to_authenticate(
    connection: Connection, client_ids: Sequence[str], now: datetime
) -> dict[str, ServiceLookup]:
    """Return the services with these client ids that exist and are not disabled, with the digests of their secrets."""
    rows = await connection.fetch(_SELECT_WITH_DIGESTS, client_ids, now)
    found = {
        row["client_id"]: ServiceCredentials(_read_service(row), row["digests"], row["unused"])
        for row in rows
        if row["client_id"] is not None
    }
    is_restored: bool = rows[0]["is_restored"]
    return {client_id: ServiceLookup(found.get(client_id), is_restored) for client_id in client_ids}


async def select_service(connection: Connection, client_id: str) -> Service | None:
    """Return the service with this client id."""
    row = await connection.fetchrow(_SELECT, client_id)
    return _read_service(row) if row else None


async def lock_service(connection: Connection, client_id: str) -> Service | None:
    """Return the service with this client id, locked until the transaction ends."""
    row = await connection.fetchrow(_LOCK, client_id)
    return _read_service(row) if row else None


async def select_services(connection: Connection) -> list[Service]:
    """Return every service by client id, including disabled ones."""
    return [_read_service(row) for row in await connection.fetch(_SELECT_ALL)]


async def insert_service(connection: Connection, service: Service) -> bool:
    """Store a new service. Return false if its client id exists."""
    row = await connection.fetchrow(
        _INSERT,
        service.client_id,
        service.name,
        service.sites,
        service.public_key,
        service.created_at,
        service.created_by,
    )
    return row is not None


async def update_service(connection: Connection, service: Service) -> None:
    """Store the fields of a service that may change. The caller has locked it."""
    await connection.execute(
        _UPDATE,
        service.client_id,
        service.name,
        service.sites,
        service.public_key,
        service.disabled_at,
        service.disabled_by,
    )


async def take_secret_of_environment(connection: Connection, secret: Secret) -> bool:
    """Store a secret from the environment. Return false if it is known already."""
    row = await connection.fetchrow(
        _TAKE_OF_ENVIRONMENT, secret.id, secret.holder_id, secret.digest, secret.hint, secret.created_at
    )
    return row is not None


async def end_other_secrets_of_environment(
    connection: Connection, client_id: str, digest: bytes, now: datetime
) -> list[str]:
    """End the secrets of a service that came from the environment, except this one. Return their ids."""
    return [row["id"] for row in await connection.fetch(_END_OTHERS_OF_ENVIRONMENT, client_id, digest, now)]


def _read_service(row: Row) -> Service:
    return Service(
        client_id=row["client_id"],
        name=row["name"],
        sites=None if row["sites"] is None else tuple(row["sites"]),
        public_key=row["public_key"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        disabled_at=row["disabled_at"],
        disabled_by=row["disabled_by"],
    )
