"""What an authority needs before it can be used: a site, an admin key, and the services that introspect."""

import asyncio
import os
from datetime import datetime
from pathlib import Path

import structlog

from services.token_authority.domain.actor import SYSTEM
from services.token_authority.domain.admin_key import new_admin_key
from services.token_authority.domain.audit import Entry
from services.token_authority.domain.secret import secret_from
from services.token_authority.domain.service import is_client_id, new_service
from services.token_authority.domain.site import new_site
from services.token_authority.operations.recorded import recorded
from services.token_authority.storage import admin_keys, secrets, services, sites
from services.token_authority.storage.audit import append_audit
from shared.contract.token import ADMIN_KEY, CLIENT_SECRET, is_well_formed, mint
from shared.runtime.postgres.database import Connection, Database
from shared.runtime.process.environment import SettingsError

_log = structlog.get_logger()


async def prepare(
    database: Database, *, site_name: str, admin_key_file: Path, service_credentials: str, now: datetime
) -> None:
    """Make what is missing; several processes may do this at once. Raises `SettingsError` for what is unusable."""
    credentials = parse_credentials(service_credentials)
    async with database.transaction() as transaction:
        await sites.lock_first_start(transaction)
        entries: list[Entry] = []
        if not await sites.select_sites(transaction):
            await sites.insert_site(transaction, new_site(site_name, now))
        if not await admin_keys.has_admin_key(transaction):
            entries.append(await _make_admin_key(transaction, admin_key_file, now))
        for client_id, secret in credentials.items():
            entries += await _take_service(transaction, client_id, secret, now)
        if entries:
            await append_audit(transaction, entries)  # last: whoever else changes something locks it last too


def parse_credentials(text: str) -> dict[str, str]:
    """Client ids with their secrets from `client_id:client_secret …`. Raises `SettingsError`."""
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


async def _make_admin_key(transaction: Connection, file: Path, now: datetime) -> Entry:
    """Before the commit, so that a crash in between leaves a file that the next start takes up."""
    try:
        text = await asyncio.to_thread(_read_or_write_admin_key, file)
    except OSError as error:
        raise SettingsError(f"ADMIN_KEY_FILE: {error.strerror}: {file}") from None
    if not is_well_formed(text, ADMIN_KEY):
        raise SettingsError(f"ADMIN_KEY_FILE: {file} does not hold an admin key; remove it to have one made")
    key = new_admin_key("First admin key", "admin", None, None, created_by=str(SYSTEM), now=now)
    await admin_keys.insert_admin_key(transaction, key)
    await secrets.insert_secret(transaction, "admin_key", secret_from(text, key.id, now))
    _log.info("the first admin key is ready", file=str(file))
    return Entry(SYSTEM, "admin_key.make", f"admin_key:{key.id}", after=recorded(key))


async def _take_service(transaction: Connection, client_id: str, text: str, now: datetime) -> list[Entry]:
    """A service of the environment: it is there, and the secret that is named is the only one that came from there."""
    service = new_service(client_id, "", None, created_by=str(SYSTEM), now=now)
    entries = []
    if await services.insert_service(transaction, service):
        entries.append(Entry(SYSTEM, "service.make", f"service:{client_id}", after=recorded(service)))
    secret = secret_from(text, client_id, now)
    if await services.take_secret_of_environment(transaction, secret):
        await services.end_other_secrets_of_environment(transaction, client_id, secret.digest, now)
        entries.append(Entry(SYSTEM, "service.take_secret", f"service:{client_id}", after={"hint": secret.hint}))
    return entries


def _read_or_write_admin_key(file: Path) -> str:
    if file.exists():
        return file.read_text(encoding="utf-8").strip()
    key = mint(ADMIN_KEY)
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(key + "\n")
    unfinished.replace(file)
    return key
