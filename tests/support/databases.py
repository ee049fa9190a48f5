"""A migrated template database, and a clone of it for each test."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from pollgate.migrate import SCHEMAS, migrate_all
from shared.runtime.migrate import Schema

ROLE_PASSWORD = "of-a-test"


class ClonedDatabase(NamedTuple):
    """One database, as its owner and as the services see it."""

    admin_url: str
    token_authority_url: str
    polls_url: str


def passwords() -> dict[Schema, str]:
    """What the services' roles are given."""
    return dict.fromkeys(SCHEMAS, ROLE_PASSWORD)


def url_to(admin_url: str, database: str, role: str | None = None) -> str:
    """The same server, another database, and another role where one is named."""
    parts = urlsplit(admin_url)
    netloc = f"{role}:{ROLE_PASSWORD}@{parts.netloc.rpartition('@')[2]}" if role else parts.netloc
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{database}"))


def described(admin_url: str, name: str) -> ClonedDatabase:
    """The database of this name."""
    return ClonedDatabase(
        admin_url=url_to(admin_url, name),
        token_authority_url=url_to(admin_url, name, "token_authority"),
        polls_url=url_to(admin_url, name, "polls"),
    )


async def make_template(admin_url: str) -> str:
    """Create and migrate the template; its name."""
    name = f"pollgate_template_{secrets.token_hex(4)}"
    await _execute(admin_url, f"CREATE DATABASE {name}")
    await migrate_all(url_to(admin_url, name), passwords())
    return name


async def drop(admin_url: str, name: str) -> None:
    """Remove a database, also under open connections."""
    await _execute(admin_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@asynccontextmanager
async def clone(admin_url: str, template: str | None) -> AsyncGenerator[ClonedDatabase, None]:
    """A database for the length of the block: a clone of the template, or an empty one without."""
    name = f"pollgate_test_{secrets.token_hex(6)}"
    await _execute(admin_url, f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
    try:
        yield described(admin_url, name)
    finally:
        await drop(admin_url, name)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
