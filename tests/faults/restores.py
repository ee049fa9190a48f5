"""Back up and restore the database of the cluster, as an operator does."""

import asyncio
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import asyncpg

from shared.runtime.process.clock import elapsed_s
from tests.faults.cluster import Cluster
from tests.support.databases import close_database, url_to
from tests.support.dumps import create_backups, run_restore_command

FORMER: Final = "former"
RESTORED: Final = "restored"
RECOVERY_LIMIT_S: Final = 30.0


class Backup(NamedTuple):
    """A dump. It has everything that was committed before `began_at`."""

    file: Path
    began_at: float


async def back_up(cluster: Cluster) -> Backup:
    """Dump the database while it is in use."""
    admin_url = cluster.restores.database.admin_url
    await _wait_until_recovered(admin_url)
    backups = await create_backups(admin_url, cluster.restores.folder)
    began_at = elapsed_s()
    return Backup(await backups.dump(cluster.restores.database), began_at)


async def restore(cluster: Cluster, backup: Backup) -> None:
    """Replace the database by the backup. The authorities do not run. Until `finish`, they will accept no token.

    The polls services run, and find the one database or the other.
    """
    admin_url = cluster.restores.database.admin_url
    name = urlsplit(admin_url).path.strip("/")
    connection = await asyncpg.connect(url_to(admin_url, "postgres"))
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {FORMER}")
        await connection.execute(f"CREATE DATABASE {RESTORED} TEMPLATE template0")
        backups = await create_backups(admin_url, cluster.restores.folder)
        await backups.load(backup.file, url_to(admin_url, RESTORED))
        await close_database(connection, name)
        await connection.execute(f"ALTER DATABASE {name} RENAME TO {FORMER}")
        await connection.execute(f"ALTER DATABASE {RESTORED} RENAME TO {name}")
    finally:
        await connection.close()
    await _run(cluster, "begin", "--reason", "a fault of the run")


async def finish(cluster: Cluster) -> None:
    """Finish the restoration by the journals of both authorities."""
    journals = [word for file in cluster.restores.journals for word in ("--journal", str(file))]
    await _run(cluster, "finish", *journals)


async def _wait_until_recovered(admin_url: str) -> None:
    """Wait until PostgreSQL has started again after a crash."""
    async with asyncio.timeout(RECOVERY_LIMIT_S):
        while True:
            try:
                await (await asyncpg.connect(admin_url)).close()
            except (OSError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(0.1)
            else:
                return


async def _run(cluster: Cluster, *words: str) -> None:
    command = await run_restore_command(cluster.restores.settings, *words)
    assert command.status == 0, command.err
