"""Who may manage tokens (admin keys) and who may introspect them (services), each secret as a digest."""

from typing import Final

from shared.runtime.postgres import Executor

_SELECT_ADMIN_KEY: Final = """
    -- select_admin_key: the id of the admin key with this digest
    SELECT id FROM token_authority.admin_key WHERE digest = $1
"""
_HAS_ADMIN_KEY: Final = """
    -- has_admin_key: whether anyone can manage this authority
    SELECT EXISTS (SELECT FROM token_authority.admin_key) AS found
"""
_INSERT_ADMIN_KEY: Final = """
    -- insert_admin_key: one more who may manage tokens
    INSERT INTO token_authority.admin_key (id, digest) VALUES ($1, $2)
"""
_SELECT_SERVICE: Final = """
    -- select_service_digest: the digest of a service's secret
    SELECT digest FROM token_authority.service WHERE client_id = $1
"""
_UPSERT_SERVICE: Final = """
    -- upsert_service: a service that may introspect, under its newest secret
    INSERT INTO token_authority.service (client_id, digest) VALUES ($1, $2)
    ON CONFLICT (client_id) DO UPDATE SET digest = EXCLUDED.digest
"""


async def select_admin_key(executor: Executor, digest: bytes) -> str | None:
    """The id of the admin key with this digest."""
    row = await executor.fetchrow(_SELECT_ADMIN_KEY, digest)
    return row["id"] if row else None


async def has_admin_key(executor: Executor) -> bool:
    """Whether there is any admin key."""
    row = await executor.fetchrow(_HAS_ADMIN_KEY)
    return row is not None and row["found"]


async def insert_admin_key(executor: Executor, key_id: str, digest: bytes) -> None:
    """Keep a new admin key."""
    await executor.execute(_INSERT_ADMIN_KEY, key_id, digest)


async def select_service_digest(executor: Executor, client_id: str) -> bytes | None:
    """The digest of the secret of the service with this client id."""
    row = await executor.fetchrow(_SELECT_SERVICE, client_id)
    return row["digest"] if row else None


async def upsert_service(executor: Executor, client_id: str, digest: bytes) -> None:
    """Keep a service, or give it another secret."""
    await executor.execute(_UPSERT_SERVICE, client_id, digest)
