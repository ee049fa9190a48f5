"""What an authority needs before it can be used: a site, an admin key, and the services that introspect."""

import asyncio
import os
from datetime import datetime
from pathlib import Path

import structlog

from services.token_authority.domain.site import new_site
from services.token_authority.storage import credentials, sites
from shared.contract.token import ADMIN_KEY, CLIENT_SECRET, digest, is_well_formed, mint, random_base62
from shared.runtime.environment import SettingsError
from shared.runtime.postgres import Database, Executor

_log = structlog.get_logger()


async def prepare(
    database: Database, *, site_name: str, admin_key_file: Path, service_credentials: str, now: datetime
) -> None:
    """Make what is missing; several processes may do this at once. Raises `SettingsError` for what is unusable."""
    services = parse_credentials(service_credentials)
    async with database.transaction() as transaction:
        await sites.lock_first_start(transaction)
        if not await sites.select_sites(transaction):
            await sites.insert_site(transaction, new_site(site_name, now))
        if not await credentials.has_admin_key(transaction):
            await _make_admin_key(transaction, admin_key_file)
        for client_id, secret in services.items():
            await credentials.upsert_service(transaction, client_id, digest(secret))


def parse_credentials(text: str) -> dict[str, str]:
    """Client ids with their secrets from `client_id:client_secret …`. Raises `SettingsError`."""
    services = {}
    for word in text.split():
        client_id, _, secret = word.partition(":")
        if not client_id or not is_well_formed(secret, CLIENT_SECRET):
            raise SettingsError(
                "SERVICE_CREDENTIALS is wrong: write client_id:client_secret for each service, "
                "with secrets made by `pollgate secrets`"
            )
        services[client_id] = secret
    return services


async def _make_admin_key(transaction: Executor, file: Path) -> None:
    """Before the commit, so that a crash in between leaves a file that the next start takes up."""
    try:
        key = await asyncio.to_thread(_read_or_write_admin_key, file)
    except OSError as error:
        raise SettingsError(f"ADMIN_KEY_FILE: {error.strerror}: {file}") from None
    if not is_well_formed(key, ADMIN_KEY):
        raise SettingsError(f"ADMIN_KEY_FILE: {file} does not hold an admin key; remove it to have one made")
    await credentials.insert_admin_key(transaction, f"adm_{random_base62(16)}", digest(key))
    _log.info("the first admin key is ready", file=str(file))


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
