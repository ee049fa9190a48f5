"""Make, change, rotate, disable and enable the services that introspect, each on record in the same transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.audit import Entry
from services.token_authority.domain.errors import NameTaken, UnknownService
from services.token_authority.domain.secret import MintedSecret, Rotation, mint_secret
from services.token_authority.domain.service import Service
from services.token_authority.operations.admin_keys import require_sites
from services.token_authority.operations.recorded import recorded
from services.token_authority.operations.rotate import rotate_secret
from services.token_authority.storage import secrets, services
from services.token_authority.storage.audit import append_audit
from shared.runtime.postgres.database import Connection, Database


async def make_service(database: Database, service: Service, by: Actor, now: datetime) -> MintedSecret | None:
    """Keep a new service, with a secret unless it has a public key. Raises `NameTaken`, `InvalidValue`."""
    minted = None if service.public_key else mint_secret("service", service.client_id, now)
    async with database.transaction() as transaction:
        await require_sites(transaction, service.sites)
        if not await services.insert_service(transaction, service):
            raise NameTaken("A service of this client id is here already.")
        if minted is not None:
            await secrets.insert_secret(transaction, "service", minted.secret)
        entry = Entry(by, "service.make", f"service:{service.client_id}", after=recorded(service))
        await append_audit(transaction, [entry])
    return minted


async def change_service(database: Database, client_id: str, values: Mapping[str, Any], by: Actor) -> Service:
    """Give some fields other values. Raises `UnknownService`, `InvalidValue`."""
    async with database.transaction() as transaction:
        service = await _locked(transaction, client_id)
        await require_sites(transaction, values.get("sites"))
        changed = msgspec.structs.replace(service, **values)
        await _keep(transaction, service, changed, "service.change", by)
    return changed


async def enable_service(database: Database, client_id: str, by: Actor, now: datetime, *, enabled: bool) -> Service:
    """Let a service introspect again, or no more. Repeated, it changes nothing. Raises `UnknownService`."""
    async with database.transaction() as transaction:
        service = await _locked(transaction, client_id)
        if enabled == (service.disabled_at is None):
            return service
        disabled_at, disabled_by = (None, None) if enabled else (now, str(by))
        changed = msgspec.structs.replace(service, disabled_at=disabled_at, disabled_by=disabled_by)
        await _keep(transaction, service, changed, "service.enable" if enabled else "service.disable", by)
    return changed


async def rotate_service(
    database: Database, client_id: str, rotation: Rotation, by: Actor, now: datetime
) -> tuple[Service, MintedSecret]:
    """Give a service a new secret. Raises `UnknownService`, and what `rotate_secret` raises."""
    async with database.transaction() as transaction:
        service = await _locked(transaction, client_id)
        minted = await rotate_secret(transaction, "service", client_id, rotation, now)
        entry = Entry(by, "service.rotate", f"service:{client_id}", after={"hint": minted.secret.hint})
        await append_audit(transaction, [entry])
    return service, minted


async def _keep(transaction: Connection, before: Service, after: Service, action: str, by: Actor) -> None:
    fields = [name for name in Service.__struct_fields__ if getattr(before, name) != getattr(after, name)]
    if fields:
        await services.update_service(transaction, after)
        entry = Entry(by, action, f"service:{after.client_id}", recorded(before, fields), recorded(after, fields))
        await append_audit(transaction, [entry])


async def _locked(transaction: Connection, client_id: str) -> Service:
    service = await services.lock_service(transaction, client_id)
    if service is None:
        raise UnknownService
    return service
