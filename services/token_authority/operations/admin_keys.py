"""Create, rotate and revoke admin keys, each with its audit record in the same transaction."""

from datetime import datetime

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.audit import AuditEntry, audit_fields
from services.token_authority.domain.errors import InvalidValue, LastAdministrator, UnknownAdminKey
from services.token_authority.domain.secret import MintedSecret, Rotation, mint_secret
from services.token_authority.operations.rotation import rotate_secret
from services.token_authority.storage import admin_keys, secrets, sites
from services.token_authority.storage.audit import append_audit
from shared.runtime.postgres.database import Connection, Database


async def create_admin_key(database: Database, key: AdminKey, by: Actor, now: datetime) -> MintedSecret:
    """Store a new admin key and create its secret. Raise `InvalidValue` for an unknown site."""
    minted = mint_secret("admin_key", key.id, now)
    async with database.transaction() as transaction:
        await require_known_sites(transaction, key.sites)
        await admin_keys.insert_admin_key(transaction, key)
        await secrets.insert_secret(transaction, "admin_key", minted.secret)
        entry = AuditEntry(by, "admin_key.make", f"admin_key:{key.id}", after=audit_fields(key))
        await append_audit(transaction, [entry])
    return minted


async def rotate_admin_key(
    database: Database, key_id: str, rotation: Rotation, by: Actor, now: datetime
) -> tuple[AdminKey, MintedSecret]:
    """Give an admin key a new secret. Raise `UnknownAdminKey`, or an error of `rotate_secret`."""
    async with database.transaction() as transaction:
        key = await admin_keys.lock_admin_key(transaction, key_id)
        if key is None or key.revoked_at is not None:
            raise UnknownAdminKey
        minted = await rotate_secret(transaction, "admin_key", key_id, rotation, now)
        before, after = {"hint": key.hint}, {"hint": minted.secret.hint}
        await append_audit(transaction, [AuditEntry(by, "admin_key.rotate", f"admin_key:{key_id}", before, after)])
    return key, minted


async def revoke_admin_key(database: Database, key_id: str, by: Actor, now: datetime) -> None:
    """Revoke an admin key. A repetition changes nothing. Raise `UnknownAdminKey` or `LastAdministrator`."""
    async with database.transaction() as transaction:
        admins = await admin_keys.lock_admins(transaction)
        if admins == [key_id]:
            raise LastAdministrator
        key = await admin_keys.lock_admin_key(transaction, key_id)
        if key is None:
            raise UnknownAdminKey
        if key.revoked_at is None:
            await admin_keys.revoke_admin_key(transaction, key_id, now, by)
            await append_audit(transaction, [AuditEntry(by, "admin_key.revoke", f"admin_key:{key_id}")])


async def require_known_sites(transaction: Connection, site_ids: tuple[str, ...] | None) -> None:
    """Raise `InvalidValue` for the first site that does not exist."""
    known = {site.id for site in await sites.select_sites(transaction)}
    for index, site_id in enumerate(site_ids or ()):
        if site_id not in known:
            raise InvalidValue(("sites", index), "unknown site id")
