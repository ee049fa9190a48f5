"""Create what an authority needs before it can be used: a site, an admin key, and the configured services."""

import asyncio
from datetime import datetime
from pathlib import Path

import structlog

from services.token_authority.domain.actor import SYSTEM
from services.token_authority.domain.admin_key import new_admin_key
from services.token_authority.domain.audit import AuditEntry, audit_fields
from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.secret import secret_from
from services.token_authority.domain.service import ServiceRequest, is_client_id, new_service
from services.token_authority.domain.site import Site, new_site
from services.token_authority.storage import admin_keys, secrets, services, sites
from services.token_authority.storage.audit import audited_transaction
from shared.contract.token import ADMIN_KEY, CLIENT_SECRET, is_well_formed, mint
from shared.runtime.postgres.database import Connection, Database
from shared.runtime.process.environment import SettingsError
from shared.runtime.process.private_file import read_secret_file, write_secret_file

_log = structlog.get_logger()


async def bootstrap(
    database: Database, *, site_name: str, admin_key_file: Path, service_credentials: str, now: datetime
) -> None:
    """Create what is missing. Several processes may do this at the same time. Raise `SettingsError`."""
    credentials = parse_credentials(service_credentials)
    async with audited_transaction(database, during_restoration=True) as transaction:
        await sites.lock_bootstrap(transaction)
        entries: list[AuditEntry] = []
        if not await sites.select_sites(transaction):
            entries.append(await _create_site(transaction, _first_site(site_name, now)))
        if not await admin_keys.has_admin_key(transaction):
            entries.append(await _create_admin_key(transaction, admin_key_file, now))
        for client_id, secret in credentials.items():
            entries += await _configure_service(transaction, client_id, secret, now)
        await transaction.record(*entries)  # last, as in every transaction, so that none deadlock


def _first_site(name: str, now: datetime) -> Site:
    try:
        return new_site(name, now)
    except InvalidValue as error:
        raise SettingsError(f"FIRST_SITE_NAME: {error.reason}") from None


def parse_credentials(text: str) -> dict[str, str]:
    """Return client ids with their secrets from `client_id:client_secret …`. Raise `SettingsError`."""
    credentials = {}
    for word in text.split():
        client_id, _, secret = word.partition(":")
        if not is_client_id(client_id) or not is_well_formed(secret, CLIENT_SECRET):
            raise SettingsError(
                "SERVICE_CREDENTIALS is wrong: write client_id:client_secret for each service, "
                "with secrets made by `pollgate secrets`"
            )
        credentials[client_id] = secret
    return credentials


async def _create_site(transaction: Connection, site: Site) -> AuditEntry:
    await sites.insert_site(transaction, site)
    return AuditEntry(SYSTEM, "site.make", f"site:{site.id}", after=audit_fields(site))


async def _create_admin_key(transaction: Connection, file: Path, now: datetime) -> AuditEntry:
    """Write the file before the commit: after a crash in between, the next start uses the key in the file."""
    try:
        text = await asyncio.to_thread(_read_or_write_admin_key, file)
    except OSError as error:
        raise SettingsError(f"ADMIN_KEY_FILE: {error.strerror}: {file}") from None
    except UnicodeDecodeError:
        text = ""
    if not is_well_formed(text, ADMIN_KEY):
        raise SettingsError(f"ADMIN_KEY_FILE: {file} does not hold an admin key; remove the file to have a key created")
    key = new_admin_key("First admin key", "admin", None, None, created_by=str(SYSTEM), now=now)
    await admin_keys.insert_admin_key(transaction, key)
    secret = secret_from(text, key.id, now)
    await secrets.insert_secret(transaction, "admin_key", secret)
    _log.info("first admin key created", file=str(file))
    after = {**audit_fields(key), "secret": secret.id, "hint": secret.hint}
    return AuditEntry(SYSTEM, "admin_key.make", f"admin_key:{key.id}", after=after)


async def _configure_service(transaction: Connection, client_id: str, text: str, now: datetime) -> list[AuditEntry]:
    """Create a configured service if it is missing, and end every other secret of it that came from the environment."""
    service = new_service(ServiceRequest(client_id), created_by=str(SYSTEM), now=now)
    entries = []
    if await services.insert_service(transaction, service):
        entries.append(AuditEntry(SYSTEM, "service.make", f"service:{client_id}", after=audit_fields(service)))
    secret = secret_from(text, client_id, now)
    if await services.take_secret_of_environment(transaction, secret):
        ended = await services.end_other_secrets_of_environment(transaction, client_id, secret.digest, now)
        after = {"hint": secret.hint, **({"ended": ended} if ended else {})}
        entries.append(AuditEntry(SYSTEM, "service.take_secret", f"service:{client_id}", after=after))
    return entries


def _read_or_write_admin_key(file: Path) -> str:
    if file.exists():
        return read_secret_file(file).strip()
    key = mint(ADMIN_KEY)
    write_secret_file(file, key + "\n")
    return key
