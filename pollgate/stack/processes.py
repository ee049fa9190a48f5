"""Child processes, recorded in a file, so that the next start can stop those that a killed run left running."""

import asyncio
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import psutil

from pollgate.stack.errors import StackError
from shared.runtime.process.private_file import write_secret_file

STOP_LIMIT_S: Final = 8.0


class Record(msgspec.Struct, frozen=True):
    """A recorded process. Its creation time distinguishes it from a later process with the same pid."""

    name: str
    pid: int
    created_at: float


class Ended(NamedTuple):
    """A child process that has exited. `status` is negative if a signal ended it."""

    name: str
    status: int

    @property
    def reason(self) -> str:
        """How it ended."""
        return f"killed by signal {-self.status}" if self.status < 0 else f"status {self.status}"


class Processes:
    """The child processes of one stack, recorded in `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
        """Start a child process and return its pid.

        It has its own session, so that Ctrl-C reaches only the parent, which stops all processes in order.
        """
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with log.open("ab") as output:
            started = self._running[name] = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._write()
        return started.pid

    def find_ended(self) -> "Ended | None":
        """Return a child process that has exited, if there is one."""
        statuses = ((name, process.poll()) for name, process in self._running.items())
        return next((Ended(name, status) for name, status in statuses if status is not None), None)

    def is_listening(self, name: str, port: int) -> bool:
        """Return whether a child process, or one that it started, listens on a TCP port."""
        try:
            process = psutil.Process(self._running[name].pid)
            return any(
                connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
                for each in (process, *process.children(recursive=True))
                for connection in each.net_connections("tcp")
            )
        except psutil.NoSuchProcess:
            return False

    async def stop(self, name: str) -> None:
        """Stop a child process: SIGTERM, then SIGKILL after `STOP_LIMIT_S`."""
        process = self._running.pop(name)
        await asyncio.to_thread(_end, psutil.Process(process.pid)) if process.poll() is None else None
        process.wait()
        self._write()

    async def reap(self) -> list[str]:
        """Stop the processes that an earlier run left running, and return their names."""
        if not self._file.exists():
            return []
        try:
            records = msgspec.json.decode(self._file.read_bytes(), type=list[Record])
        except msgspec.MsgspecError:
            raise StackError(
                f"{self._file} cannot be read; stop the stack's processes yourself and delete it"
            ) from None
        left = [(record.name, process) for record in records if (process := _find(record)) is not None]
        for _, process in left:
            await asyncio.to_thread(_end, process)
        self._file.unlink()
        return [name for name, _ in left]

    def _write(self) -> None:
        records = [
            Record(name=name, pid=process.pid, created_at=psutil.Process(process.pid).create_time())
            for name, process in self._running.items()
            if process.poll() is None
        ]
        write_secret_file(self._file, msgspec.json.encode(records).decode())


def _find(record: Record) -> psutil.Process | None:
    try:
        process = psutil.Process(record.pid)
        return process if process.create_time() == record.created_at else None
    except psutil.NoSuchProcess:
        return None


def _end(process: psutil.Process) -> None:
    try:
        process.terminate()
        process.wait(STOP_LIMIT_S)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait()
    except psutil.NoSuchProcess:
        return
