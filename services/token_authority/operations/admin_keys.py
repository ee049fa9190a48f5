"""Make, rotate and revoke admin keys, each on record in the same transaction."""

from datetime import datetime

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.audit import Entry
from services.token_authority.domain.errors import InvalidValue, LastAdministrator, UnknownAdminKey
from services.token_authority.domain.secret import MintedSecret, Rotation, mint_secret
from services.token_authority.operations.recorded import recorded
from services.token_authority.operations.rotate import rotate_secret
from services.token_authority.storage import admin_keys, secrets, sites
from services.token_authority.storage.audit import append_audit
from shared.runtime.postgres.database import Connection, Database


async def make_admin_key(database: Database, key: AdminKey, by: Actor, now: datetime) -> MintedSecret:
    """Keep a new admin key, and give it its secret. Raises `InvalidValue` for a site that is not there."""
    minted = mint_secret("admin_key", key.id, now)
    async with database.transaction() as transaction:
        await require_sites(transaction, key.sites)
        await admin_keys.insert_admin_key(transaction, key)
        await secrets.insert_secret(transaction, "admin_key", minted.secret)
        await append_audit(transaction, [Entry(by, "admin_key.make", f"admin_key:{key.id}", after=recorded(key))])
    return minted


async def rotate_admin_key(
    database: Database, key_id: str, rotation: Rotation, by: Actor, now: datetime
) -> tuple[AdminKey, MintedSecret]:
    """Give an admin key a new secret. Raises `UnknownAdminKey`."""
    async with database.transaction() as transaction:
        key = await _locked(transaction, key_id)
        minted = await rotate_secret(transaction, "admin_key", key_id, rotation, now)
        entry = Entry(by, "admin_key.rotate", f"admin_key:{key_id}", {"hint": key.hint}, {"hint": minted.secret.hint})
        await append_audit(transaction, [entry])
    return key, minted


async def revoke_admin_key(database: Database, key_id: str, by: Actor, now: datetime) -> None:
    """End an admin key; repeated, it changes nothing. Raises `UnknownAdminKey`, `LastAdministrator`."""
    async with database.transaction() as transaction:
        admins = await admin_keys.lock_admins(transaction)
        if admins == [key_id]:
            raise LastAdministrator
        key = await admin_keys.lock_admin_key(transaction, key_id)
        if key is None:
            raise UnknownAdminKey
        if key.revoked_at is None:
            await admin_keys.revoke_admin_key(transaction, key_id, now, by)
            await append_audit(transaction, [Entry(by, "admin_key.revoke", f"admin_key:{key_id}")])


async def require_sites(transaction: Connection, site_ids: tuple[str, ...] | None) -> None:
    """Raises `InvalidValue` for the first that is not there."""
    known = {site.id for site in await sites.select_sites(transaction)}
    for index, site_id in enumerate(site_ids or ()):
        if site_id not in known:
            raise InvalidValue(("sites", index), "no site has this id")


async def _locked(transaction: Connection, key_id: str) -> AdminKey:
    key = await admin_keys.lock_admin_key(transaction, key_id)
    if key is None or key.revoked_at is not None:
        raise UnknownAdminKey
    return key
