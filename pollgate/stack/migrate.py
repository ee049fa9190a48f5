"""Migrate both services' schemas, as a privileged role that the services do not have; wait until that has been done."""

import asyncio
from collections.abc import Callable, Mapping
from os import environ
from typing import Final

import asyncpg
from msgspec import Struct

from pollgate.stack.errors import StackError
from services.polls.storage.schema import SCHEMA as POLLS
from services.token_authority.storage.schema import SCHEMA as TOKEN_AUTHORITY
from shared.runtime.postgres.connector import reason_of
from shared.runtime.postgres.database import DatabaseUnavailable, database
from shared.runtime.postgres.migrations import (
    ChangedMigration,
    DatabaseTooNew,
    NotMigrated,
    Schema,
    migrate,
    require_migrated,
)
from shared.runtime.postgres.url import read_database_url
from shared.runtime.process.environment import RotatableText, SettingsError, read_settings

SCHEMAS: Final = (TOKEN_AUTHORITY, POLLS)
SCHEMA_CHECK_INTERVAL_S: Final = 2.0


class TokenAuthorityDatabase(Struct, frozen=True):
    """The environment variable for waiting until the token authority's schema is migrated."""

    token_authority_database_url: RotatableText


class PollsDatabase(Struct, frozen=True):
    """The environment variable for waiting until polls' schema is migrated."""

    polls_database_url: RotatableText


class MigrateSettings(Struct, frozen=True):
    """The environment variables of `pollgate migrate`."""

    database_admin_url: str
    token_authority_database_url: str
    polls_database_url: str


async def migrate_from_environment() -> list[str]:
    """Migrate with settings from the environment, and return a line per schema. Raise `StackError`."""
    try:
        settings = read_settings(MigrateSettings, environ)
        read_database_url(settings.database_admin_url, "DATABASE_ADMIN_URL")
        passwords = {
            TOKEN_AUTHORITY: _password(settings.token_authority_database_url, "TOKEN_AUTHORITY_DATABASE_URL"),
            POLLS: _password(settings.polls_database_url, "POLLS_DATABASE_URL"),
        }
    except SettingsError as error:
        raise StackError(str(error)) from None
    return await migrate_all(settings.database_admin_url, passwords)


async def wait_until_migrated(service: str, timeout_s: float, report: Callable[[str], None]) -> None:
    """Return once the schema of a service has every migration of this release, as the service itself sees it.

    `service` is `token-authority` or `polls`. `report` gets each reason to wait, once. Raise `StackError` after
    `timeout_s`, or if the variable with the URL of the service's role is missing or wrong.
    """
    loop = asyncio.get_running_loop()
    deadline, reported = loop.time() + timeout_s, ""
    try:
        schema, url = _schema_and_url(service)
        while reason := await _reason_to_wait(schema, url):
            if loop.time() >= deadline:
                raise StackError(f"waited for {timeout_s:g} s: {reason}")
            if reason != reported:
                report(f"waiting: {reason}")
                reported = reason
            await asyncio.sleep(SCHEMA_CHECK_INTERVAL_S)
    except SettingsError as error:
        raise StackError(str(error)) from None


def _schema_and_url(service: str) -> tuple[Schema, RotatableText]:
    if service == "polls":
        return POLLS, read_settings(PollsDatabase, environ).polls_database_url
    return TOKEN_AUTHORITY, read_settings(TokenAuthorityDatabase, environ).token_authority_database_url


async def _reason_to_wait(schema: Schema, url: RotatableText) -> str:
    """Return why the service cannot start yet; an empty text if it can."""
    try:
        async with database(url, size=1, statement_cache=0, timeout_s=SCHEMA_CHECK_INTERVAL_S) as opened:
            await require_migrated(opened, schema)
    except (DatabaseUnavailable, NotMigrated) as error:
        return str(error)
    return ""


async def migrate_all(admin_url: str, passwords: Mapping[Schema, str]) -> list[str]:
    """Migrate each schema, set its role's password, and return a line per schema. Raise `StackError`."""
    lines = []
    for schema in SCHEMAS:
        try:
            applied = await migrate(admin_url, schema, passwords[schema])
        except DatabaseTooNew as error:
            raise StackError(f"{error}; run the newer release") from None
        except ChangedMigration as error:
            raise StackError(str(error)) from None
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            address = read_database_url(admin_url).address
            raise StackError(f"cannot migrate {schema.name} at {address}: {reason_of(error)}") from None
        lines.append(f"{schema.name}: {'applied ' + ', '.join(applied) if applied else 'up to date'}")
    return lines


def _password(url: str, variable: str) -> str:
    password = read_database_url(url, variable).password
    if not password:
        raise StackError(f"{variable} has no password; the role of the service requires one")
    return password
