"""Create, change, rotate and revoke admin keys, each with its audit record in the same transaction."""

from datetime import datetime

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey, NewAdminKey, RotatedAdminKey
from services.token_authority.domain.admin_key_change import AdminKeyChange, apply_change
from services.token_authority.domain.audit import AuditEntry, audit_fields
from services.token_authority.domain.errors import InvalidValue, LastAdministrator, RotationInUse, UnknownAdminKey
from services.token_authority.domain.idempotency import IdempotencyKey
from services.token_authority.domain.secret import Rotation, mint_secret
from services.token_authority.operations.idempotency import find_earlier_request, remember_request
from services.token_authority.operations.rotation import replace_lost_secret, rotate_or_repeat
from services.token_authority.storage import admin_keys, secrets, sites
from services.token_authority.storage.audit import AuditedTransaction, audited_transaction
from services.token_authority.storage.idempotency import KeyedRequest
from shared.runtime.postgres.database import Connection, Database


async def create_admin_key(
    database: Database, key: AdminKey, by: Actor, now: datetime, idempotency_key: IdempotencyKey | None = None
) -> NewAdminKey:
    """Store a new admin key and create its secret. Raise `InvalidValue` for an unknown site.

    For a repeated request, replace the secret of the admin key that it created, whose response was lost. Raise
    `IdempotencyKeyReused` or `RotationInUse`.
    """
    async with audited_transaction(database) as transaction:
        earlier = await find_earlier_request(transaction, idempotency_key)
        if earlier is not None:
            return await _repeat(transaction, earlier, by, now)
        await require_known_sites(transaction, key.sites)
        minted = mint_secret("admin_key", key.id, now)
        await admin_keys.insert_admin_key(transaction, key)
        await secrets.insert_secret(transaction, "admin_key", minted.secret)
        await remember_request(transaction, idempotency_key, key.id, minted.secret.id)
        after = {**audit_fields(key), "secret": minted.secret.id, "hint": minted.secret.hint}
        await transaction.record(AuditEntry(by, "admin_key.make", f"admin_key:{key.id}", after=after))
    return NewAdminKey(key, minted)


async def _repeat(transaction: AuditedTransaction, earlier: KeyedRequest, by: Actor, now: datetime) -> NewAdminKey:
    key = await admin_keys.lock_admin_key(transaction, earlier.holder_id)
    if key is None or key.revoked_at is not None or earlier.secret_id is None:
        raise RotationInUse
    return NewAdminKey(key, await replace_lost_secret(transaction, "admin_key", key.id, earlier.secret_id, by, now))


async def change_admin_key(database: Database, key_id: str, requested: AdminKeyChange, by: Actor) -> AdminKey:
    """Change the fields that are set. A repetition changes nothing.

    Raise `UnknownAdminKey`, `InvalidValue`, `Widening` or `LastAdministrator`.
    """
    async with audited_transaction(database) as transaction:
        admins = await admin_keys.lock_admins(transaction)
        key = await admin_keys.lock_admin_key(transaction, key_id)
        if key is None or key.revoked_at is not None:
            raise UnknownAdminKey
        changed = apply_change(key, requested)
        if changed.role != "admin" and admins == [key_id]:
            raise LastAdministrator
        fields = [name for name in AdminKey.__struct_fields__ if getattr(key, name) != getattr(changed, name)]
        if not fields:
            transaction.declare_unchanged()
            return key
        if "sites" in fields:
            await require_known_sites(transaction, changed.sites)
        await admin_keys.update_admin_key(transaction, changed)
        before, after = audit_fields(key, fields), audit_fields(changed, fields)
        await transaction.record(AuditEntry(by, "admin_key.change", f"admin_key:{key_id}", before, after))
    return changed


async def rotate_admin_key(
    database: Database, key_id: str, rotation: Rotation, by: Actor, now: datetime
) -> RotatedAdminKey:
    """Give an admin key a new secret. Raise `UnknownAdminKey`, or an error of `rotate_or_repeat`."""
    async with audited_transaction(database) as transaction:
        key = await admin_keys.lock_admin_key(transaction, key_id)
        if key is None or key.revoked_at is not None:
            raise UnknownAdminKey
        rotated = await rotate_or_repeat(transaction, "admin_key", key_id, rotation, by, now)
    return RotatedAdminKey(key, *rotated)


async def revoke_admin_key(database: Database, key_id: str, by: Actor, now: datetime) -> None:
    """Revoke an admin key. A repetition changes nothing. Raise `UnknownAdminKey` or `LastAdministrator`."""
    async with audited_transaction(database) as transaction:
        admins = await admin_keys.lock_admins(transaction)
        if admins == [key_id]:
            raise LastAdministrator
        key = await admin_keys.lock_admin_key(transaction, key_id)
        if key is None:
            raise UnknownAdminKey
        if key.revoked_at is not None:
            transaction.declare_unchanged()
            return
        await admin_keys.revoke_admin_key(transaction, key_id, now, by)
        await transaction.record(AuditEntry(by, "admin_key.revoke", f"admin_key:{key_id}"))


async def require_known_sites(transaction: Connection, site_ids: tuple[str, ...] | None) -> None:
    """Raise `InvalidValue` for the first site that does not exist."""
    known = {site.id for site in await sites.select_sites(transaction)}
    for index, site_id in enumerate(site_ids or ()):
        if site_id not in known:
            raise InvalidValue(("sites", index), "unknown site id")
