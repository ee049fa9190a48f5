"""A real PgBouncer in front of the PostgreSQL of a test."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import pytest

from shared.runtime.postgres.url import read_database_url
from tests.support.databases import ROLE_PASSWORD, ClonedDatabase
from tests.support.ports import take_port
from tests.support.postgres_server import let_postgres_user_own
from tests.support.stack import HOST

LIMIT_S: Final = 10.0


def find_pgbouncer() -> str:
    """Return the program that `PGBOUNCER` names, or the installed one. Skip the test if there is none."""
    program = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer", path=f"{os.environ.get('PATH')}:/usr/sbin")
    if program is None:
        pytest.skip("needs PgBouncer: apt install pgbouncer")
    return program


def version_of(program: str) -> tuple[int, ...]:
    """Return the version of a PgBouncer, such as `(1, 24)`."""
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"PgBouncer (\d+)\.(\d+)", printed)
    assert found, printed
    return int(found[1]), int(found[2])


class PgBouncer:
    """A running PgBouncer. `database` has the URLs that lead through it."""

    def __init__(self, folder: Path, server: ClonedDatabase) -> None:
        self.port = take_port()
        self.database = ClonedDatabase(
            server.admin_url, self._through(server.token_authority_url), self._through(server.polls_url)
        )
        self._folder = folder
        folder.mkdir()
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None

    def _through(self, url: str) -> str:
        parts = urlsplit(url)
        return f"postgresql://{parts.username}:{parts.password}@{HOST}:{self.port}{parts.path}"

    def configure(self, settings: Mapping[str, str]) -> None:
        """Write the configuration, which a running PgBouncer reads at `reload`."""
        place = read_database_url(self._server.admin_url).addresses[0]
        users = self._folder / "users"
        users.write_text("".join(f'"{role}" "{ROLE_PASSWORD}"\n' for role in ("polls", "token_authority")))
        lines = [
            "[databases]",
            f"* = host={place.host} port={place.port}",
            "[pgbouncer]",
            f"listen_addr = {HOST}",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            "auth_type = scram-sha-256",
            f"auth_file = {users}",
            "pool_mode = transaction",
            *(f"{name} = {value}" for name, value in settings.items()),
        ]
        (self._folder / "pgbouncer.ini").write_text("\n".join(lines))
        let_postgres_user_own(self._folder, users, self._folder / "pgbouncer.ini")

    async def start(self, program: str, log: Path) -> None:
        """Start the process and wait until it listens."""
        user = let_postgres_user_own(self._folder)
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [program, str(self._folder / "pgbouncer.ini")], user=user, stdout=stream, stderr=stream, cwd="/"
            )
        async with asyncio.timeout(LIMIT_S):
            while True:
                try:
                    connection = await asyncpg.connect(self.database.polls_url, statement_cache_size=0)
                except (OSError, asyncpg.PostgresError):
                    assert self._process.poll() is None, f"PgBouncer has ended; see {log}"
                    await asyncio.sleep(0.05)
                else:
                    await connection.close()
                    return

    def reload(self, settings: Mapping[str, str]) -> None:
        """Let the running process read other settings."""
        assert self._process is not None
        self.configure(settings)
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@asynccontextmanager
async def run_pgbouncer(folder: Path, server: ClonedDatabase, **settings: str) -> AsyncGenerator[PgBouncer, None]:
    """Run PgBouncer in transaction mode in front of a database during the block."""
    program = find_pgbouncer()
    bouncer = PgBouncer(folder, server)
    bouncer.configure(settings)
    try:
        await bouncer.start(program, folder / "log")
        yield bouncer
    finally:
        bouncer.stop()
