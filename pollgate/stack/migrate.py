"""Migrate both services' schemas, as a privileged role that the services do not have."""

from collections.abc import Mapping
from os import environ
from typing import Final

import asyncpg
from msgspec import Struct

from pollgate.stack.errors import StackError
from services.polls.storage.schema import SCHEMA as POLLS
from services.token_authority.storage.schema import SCHEMA as TOKEN_AUTHORITY
from shared.runtime.postgres.connector import reason_of
from shared.runtime.postgres.migrations import ChangedMigration, DatabaseTooNew, Schema, migrate
from shared.runtime.postgres.url import read_database_url
from shared.runtime.process.environment import SettingsError, read_settings

SCHEMAS: Final = (TOKEN_AUTHORITY, POLLS)


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
