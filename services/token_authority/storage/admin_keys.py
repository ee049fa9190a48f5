"""Admin keys in PostgreSQL."""

from datetime import datetime
from typing import Final, NamedTuple

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.storage.restoration import IS_RESTORED, require_not_restored
from shared.contract.scope import Scope
from shared.runtime.postgres.database import Connection, Row

_COLUMNS: Final = """
    a.id, a.name, a.role, a.sites, a.scopes, a.created_at, a.created_by, a.revoked_at, a.revoked_by,
    (SELECT hint FROM token_authority.secret n WHERE n.holder_kind = 'admin_key' AND n.holder_id = a.id
     ORDER BY created_at DESC LIMIT 1) AS hint
"""

_SELECT_BY_DIGEST: Final = f"""
    -- select_admin_key_by_digest: the admin key with this secret, if both work, and whether the database was restored
    SELECT state.is_restored, {_COLUMNS}, s.first_used_at IS NOT NULL AS is_used
    FROM (SELECT {IS_RESTORED}) AS state
    LEFT JOIN (token_authority.secret s JOIN token_authority.admin_key a ON a.id = s.holder_id)
      ON s.digest = $1 AND s.holder_kind = 'admin_key' AND NOT s.ended AND (s.ends_at IS NULL OR s.ends_at > $2)
     AND a.revoked_at IS NULL
"""  # noqa: S608
_SELECT: Final = f"""
    -- select_admin_key: one admin key
    SELECT {_COLUMNS} FROM token_authority.admin_key a WHERE a.id = $1
"""  # noqa: S608
_LOCK: Final = f"""
    -- lock_admin_key: one admin key, locked until the transaction ends
    SELECT {_COLUMNS} FROM token_authority.admin_key a WHERE a.id = $1 FOR UPDATE
"""  # noqa: S608
_SELECT_ALL: Final = f"""
    -- select_admin_keys: every admin key by name, including revoked ones
    SELECT {_COLUMNS} FROM token_authority.admin_key a ORDER BY a.name, a.id
"""  # noqa: S608
_HAS_ANY: Final = """
    -- has_admin_key: whether there is any admin key
    SELECT EXISTS (SELECT FROM token_authority.admin_key) AS found
"""
_INSERT: Final = """
    -- insert_admin_key: a new admin key
    INSERT INTO token_authority.admin_key (id, name, role, sites, scopes, created_at, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_LOCK_ADMINS: Final = """
    -- lock_admins: the valid keys in the role admin, locked so that two requests cannot end the last two
    SELECT id FROM token_authority.admin_key WHERE role = 'admin' AND revoked_at IS NULL ORDER BY id FOR UPDATE
"""
_UPDATE: Final = """
    -- update_admin_key: the name, the role and the limits of an admin key
    UPDATE token_authority.admin_key SET name = $2, role = $3, sites = $4, scopes = $5 WHERE id = $1
"""
_REVOKE: Final = """
    -- revoke_admin_key: revoke an admin key
    UPDATE token_authority.admin_key SET revoked_at = $2, revoked_by = $3 WHERE id = $1
"""


class AdminKeyLookup(NamedTuple):
    """An admin key found by one of its secrets, and whether that was used before."""

    key: AdminKey
    is_used: bool


async def select_admin_key_by_digest(connection: Connection, digest: bytes, now: datetime) -> AdminKeyLookup | None:
    """Return the admin key with this secret, if both work. Raise `Restored`."""
    (row,) = await connection.fetch(_SELECT_BY_DIGEST, digest, now)
    require_not_restored(row)
    return AdminKeyLookup(_read_admin_key(row), row["is_used"]) if row["id"] is not None else None


async def select_admin_key(connection: Connection, key_id: str) -> AdminKey | None:
    """Return the admin key with this id, also if it is revoked."""
    row = await connection.fetchrow(_SELECT, key_id)
    return _read_admin_key(row) if row else None


async def lock_admin_key(connection: Connection, key_id: str) -> AdminKey | None:
    """Return the admin key with this id, locked until the transaction ends."""
    row = await connection.fetchrow(_LOCK, key_id)
    return _read_admin_key(row) if row else None


async def select_admin_keys(connection: Connection) -> list[AdminKey]:
    """Return every admin key by name, including revoked ones."""
    return [_read_admin_key(row) for row in await connection.fetch(_SELECT_ALL)]


async def has_admin_key(connection: Connection) -> bool:
    """Return whether there is any admin key, including revoked ones."""
    row = await connection.fetchrow(_HAS_ANY)
    return row is not None and row["found"]


async def insert_admin_key(connection: Connection, key: AdminKey) -> None:
    """Store a new admin key."""
    await connection.execute(_INSERT, key.id, *_changeable_values(key), key.created_at, key.created_by)


async def update_admin_key(connection: Connection, key: AdminKey) -> None:
    """Store the name, the role and the limits of an admin key."""
    await connection.execute(_UPDATE, key.id, *_changeable_values(key))


async def lock_admins(connection: Connection) -> list[str]:
    """Return the ids of the valid keys in the role `admin`, locked until the transaction ends."""
    return [row["id"] for row in await connection.fetch(_LOCK_ADMINS)]


async def revoke_admin_key(connection: Connection, key_id: str, at: datetime, by: Actor) -> None:
    """Revoke an admin key."""
    await connection.execute(_REVOKE, key_id, at, str(by))


def _changeable_values(key: AdminKey) -> tuple[object, ...]:
    scopes = None if key.scopes is None else [str(scope) for scope in key.scopes]
    return key.name, key.role, key.sites, scopes


def _read_admin_key(row: Row) -> AdminKey:
    return AdminKey(
        id=row["id"],
        name=row["name"],
        role=row["role"],
        sites=None if row["sites"] is None else tuple(row["sites"]),
        scopes=None if row["scopes"] is None else tuple(map(Scope.parse, row["scopes"])),
        hint=row["hint"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        revoked_at=row["revoked_at"],
        revoked_by=row["revoked_by"],
    )
