"""Create, change, rotate, disable and enable services, each with its audit record in the same transaction."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.administrator import validate_sites
from services.token_authority.domain.audit import AuditEntry, audit_fields
from services.token_authority.domain.errors import NameTaken, UnknownService
from services.token_authority.domain.idempotency import IdempotencyKey
from services.token_authority.domain.secret import Rotation, mint_secret
from services.token_authority.domain.service import (
    NewService,
    RotatedService,
    Service,
    ServiceChange,
    ServiceRequest,
    new_service,
    validate_service_name,
)
from services.token_authority.operations.admin_keys import require_known_sites
from services.token_authority.operations.idempotency import find_earlier_request, remember_request
from services.token_authority.operations.public_key import validate_public_key
from services.token_authority.operations.rotation import replace_lost_secret, rotate_or_repeat
from services.token_authority.storage import secrets, services
from services.token_authority.storage.audit import AuditedTransaction, audited_transaction
from services.token_authority.storage.idempotency import KeyedRequest
from shared.runtime.postgres.database import Connection, Database


async def create_service(
    database: Database, request: ServiceRequest, by: Actor, now: datetime, key: IdempotencyKey | None = None
) -> NewService:
    """Create a service, with a secret unless it has a public key. Raise `NameTaken` or `InvalidValue`.

    For a repeated request, replace the secret of the service that it created, whose response was lost. Raise
    `IdempotencyKeyReused` or `RotationInUse`.
    """
    request = msgspec.structs.replace(request, public_key=validate_public_key(request.public_key))
    service = new_service(request, created_by=str(by), now=now)
    async with audited_transaction(database) as transaction:
        earlier = await find_earlier_request(transaction, key)
        if earlier is not None:
            return await _repeat(transaction, earlier, by, now)
        await require_known_sites(transaction, service.sites)
        if not await services.insert_service(transaction, service):
            raise NameTaken("A service with this client id already exists.")
        minted = None if service.public_key else mint_secret("service", service.client_id, now)
        after = audit_fields(service)
        if minted is not None:
            await secrets.insert_secret(transaction, "service", minted.secret)
            after |= {"secret": minted.secret.id, "hint": minted.secret.hint}
        await remember_request(transaction, key, service.client_id, minted.secret.id if minted else None)
        await transaction.record(AuditEntry(by, "service.make", f"service:{service.client_id}", after=after))
    return NewService(service, minted)


async def _repeat(transaction: AuditedTransaction, earlier: KeyedRequest, by: Actor, now: datetime) -> NewService:
    service = await _lock(transaction, earlier.holder_id)
    if earlier.secret_id is None:
        transaction.declare_unchanged()
        return NewService(service, None)
    return NewService(
        service, await replace_lost_secret(transaction, "service", service.client_id, earlier.secret_id, by, now)
    )


async def change_service(database: Database, client_id: str, requested: ServiceChange, by: Actor) -> Service:
    """Change the fields that are set. Raise `UnknownService` or `InvalidValue`."""
    values = _validate(requested)
    async with audited_transaction(database) as transaction:
        service = await _lock(transaction, client_id)
        await require_known_sites(transaction, values.get("sites"))
        changed = msgspec.structs.replace(service, **values)
        await _update(transaction, service, changed, "service.change", by)
    return changed


async def enable_service(database: Database, client_id: str, by: Actor, now: datetime, *, enabled: bool) -> Service:
    """Enable or disable a service. A repetition changes nothing. Raise `UnknownService`."""
    async with audited_transaction(database) as transaction:
        service = await _lock(transaction, client_id)
        if enabled == (service.disabled_at is None):
            transaction.declare_unchanged()
            return service
        disabled_at, disabled_by = (None, None) if enabled else (now, str(by))
        changed = msgspec.structs.replace(service, disabled_at=disabled_at, disabled_by=disabled_by)
        await _update(transaction, service, changed, "service.enable" if enabled else "service.disable", by)
    return changed


async def rotate_service(
    database: Database, client_id: str, rotation: Rotation, by: Actor, now: datetime
) -> RotatedService:
    """Give a service a new secret. Raise `UnknownService`, or an error of `rotate_or_repeat`."""
    async with audited_transaction(database) as transaction:
        service = await _lock(transaction, client_id)
        rotated = await rotate_or_repeat(transaction, "service", client_id, rotation, by, now)
    return RotatedService(service, *rotated)


def _validate(requested: ServiceChange) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if requested.name is not UNSET:
        values["name"] = validate_service_name(requested.name)
    if requested.sites is not UNSET:
        values["sites"] = validate_sites(requested.sites)
    if requested.public_key is not UNSET:
        values["public_key"] = validate_public_key(requested.public_key)
    return values


async def _update(transaction: AuditedTransaction, before: Service, after: Service, action: str, by: Actor) -> None:
    fields = [name for name in Service.__struct_fields__ if getattr(before, name) != getattr(after, name)]
    if not fields:
        transaction.declare_unchanged()
        return
    await services.update_service(transaction, after)
    subject = f"service:{after.client_id}"
    await transaction.record(AuditEntry(by, action, subject, audit_fields(before, fields), audit_fields(after, fields)))


async def _lock(transaction: Connection, client_id: str) -> Service:
    service = await services.lock_service(transaction, client_id)
    if service is None:
        raise UnknownService
    return service
