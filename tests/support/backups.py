"""Back up a database of a test and restore it, as an operator does: everything goes back to that moment."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from tests.support.databases import ClonedDatabase, close_database, drop_database, url_to


class Backup:
    """A copy of a database. The database must be the test's own: mark the test with `own_database`."""

    def __init__(self, admin_url: str, name: str) -> None:
        self._server_url = url_to(admin_url, "postgres")
        self._database = urlsplit(admin_url).path.removeprefix("/")
        self._name = name

    async def restore(self) -> None:
        """Replace the database by the copy. Services lose their connections, and open new ones."""
        connection = await asyncpg.connect(self._server_url)
        try:
            await connection.execute(f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS false")
            await connection.execute(f"DROP DATABASE {self._database} WITH (FORCE)")
            await connection.execute(f"CREATE DATABASE {self._database} TEMPLATE {self._name}")
        finally:
            await connection.close()


@asynccontextmanager
async def back_up(database: ClonedDatabase) -> AsyncGenerator[Backup, None]:
    """Copy the database, and remove the copy at the end of the block."""
    name = f"pollgate_backup_{secrets.token_hex(6)}"
    backup = Backup(database.admin_url, name)
    original = urlsplit(database.admin_url).path.removeprefix("/")
    connection = await asyncpg.connect(url_to(database.admin_url, "postgres"))
    try:
        await close_database(connection, original)
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {original}")
        await connection.execute(f"ALTER DATABASE {original} ALLOW_CONNECTIONS true")
    finally:
        await connection.close()
    try:
        yield backup
    finally:
        await drop_database(url_to(database.admin_url, "postgres"), name)
