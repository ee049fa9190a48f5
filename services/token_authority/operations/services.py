"""Create, change, rotate, disable and enable services, each with its audit record in the same transaction."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.audit import AuditEntry, audit_fields
from services.token_authority.domain.errors import NameTaken, UnknownService
from services.token_authority.domain.secret import MintedSecret, Rotation, mint_secret
from services.token_authority.domain.service import (
    Service,
    ServiceChange,
    ServiceRequest,
    new_service,
    validate_service_name,
    validate_sites,
)
from services.token_authority.operations.admin_keys import require_known_sites
from services.token_authority.operations.public_key import validate_public_key
from services.token_authority.operations.rotation import rotate_secret
from services.token_authority.storage import secrets, services
from services.token_authority.storage.audit import append_audit
from shared.runtime.postgres.database import Connection, Database


async def create_service(
    database: Database, request: ServiceRequest, by: Actor, now: datetime
) -> tuple[Service, MintedSecret | None]:
    """Create a service, with a secret unless it has a public key. Raise `NameTaken` or `InvalidValue`."""
    request = msgspec.structs.replace(request, public_key=validate_public_key(request.public_key))
    service = new_service(request, created_by=str(by), now=now)
    minted = None if service.public_key else mint_secret("service", service.client_id, now)
    async with database.transaction() as transaction:
        await require_known_sites(transaction, service.sites)
        if not await services.insert_service(transaction, service):
            raise NameTaken("A service with this client id already exists.")
        if minted is not None:
            await secrets.insert_secret(transaction, "service", minted.secret)
        entry = AuditEntry(by, "service.make", f"service:{service.client_id}", after=audit_fields(service))
        await append_audit(transaction, [entry])
    return service, minted


async def change_service(database: Database, client_id: str, requested: ServiceChange, by: Actor) -> Service:
    """Change the fields that are set. Raise `UnknownService` or `InvalidValue`."""
    values = _validate(requested)
    async with database.transaction() as transaction:
        service = await _lock(transaction, client_id)
        await require_known_sites(transaction, values.get("sites"))
        changed = msgspec.structs.replace(service, **values)
        await _update(transaction, service, changed, "service.change", by)
    return changed


async def enable_service(database: Database, client_id: str, by: Actor, now: datetime, *, enabled: bool) -> Service:
    """Enable or disable a service. A repetition changes nothing. Raise `UnknownService`."""
    async with database.transaction() as transaction:
        service = await _lock(transaction, client_id)
        if enabled == (service.disabled_at is None):
            return service
        disabled_at, disabled_by = (None, None) if enabled else (now, str(by))
        changed = msgspec.structs.replace(service, disabled_at=disabled_at, disabled_by=disabled_by)
        await _update(transaction, service, changed, "service.enable" if enabled else "service.disable", by)
    return changed


async def rotate_service(
    database: Database, client_id: str, rotation: Rotation, by: Actor, now: datetime
) -> tuple[Service, MintedSecret]:
    """Give a service a new secret. Raise `UnknownService`, or an error of `rotate_secret`."""
    async with database.transaction() as transaction:
        service = await _lock(transaction, client_id)
        minted = await rotate_secret(transaction, "service", client_id, rotation, now)
        entry = AuditEntry(by, "service.rotate", f"service:{client_id}", after={"hint": minted.secret.hint})
        await append_audit(transaction, [entry])
    return service, minted


def _validate(requested: ServiceChange) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if requested.name is not UNSET:
        values["name"] = validate_service_name(requested.name)
    if requested.sites is not UNSET:
        values["sites"] = validate_sites(requested.sites)
    if requested.public_key is not UNSET:
        values["public_key"] = validate_public_key(requested.public_key)
    return values


async def _update(transaction: Connection, before: Service, after: Service, action: str, by: Actor) -> None:
    fields = [name for name in Service.__struct_fields__ if getattr(before, name) != getattr(after, name)]
    if fields:
        await services.update_service(transaction, after)
        subject = f"service:{after.client_id}"
        entry = AuditEntry(by, action, subject, audit_fields(before, fields), audit_fields(after, fields))
        await append_audit(transaction, [entry])


async def _lock(transaction: Connection, client_id: str) -> Service:
    service = await services.lock_service(transaction, client_id)
    if service is None:
        raise UnknownService
    return service
