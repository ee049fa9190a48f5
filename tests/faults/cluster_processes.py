"""The processes of the cluster. Each can be killed and restarted, stopped and resumed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from pollgate.stack.embedded import EmbeddedPostgres, redis_command
from shared.runtime.process.clock import elapsed_s
from tests.support.history import Stop
from tests.support.http import wait_until_ready
from tests.support.processes import path_to

END_LIMIT_S: Final = 30.0
LAST_LINES: Final = 20


class ClusterProcess:
    """A program that keeps its address over restarts. `stops` are the times in which it did not run."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.stops: list[Stop] = []
        self._command = command
        self._environment = {**os.environ, **environment}
        self._log = log
        self._folder = folder
        self._process: subprocess.Popen[bytes]
        self._down_since = elapsed_s()

    def start(self) -> None:
        """Start the process."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, cwd=self._folder, stdout=log, stderr=log
            )

    async def ready(self) -> None:
        """Wait until the process works."""

    def record_start(self) -> None:
        """Record that the process runs again."""
        self.stops.append(Stop(self.name, self._down_since, elapsed_s()))

    def stop(self) -> None:
        """Send SIGSTOP."""
        self._record_stop()
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT."""
        self._process.send_signal(signal.SIGCONT)
        self.record_start()

    async def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self._record_stop()
        self._process.kill()
        await asyncio.to_thread(self._process.wait)

    async def terminate(self) -> None:
        """Send SIGTERM and wait for a status of 0."""
        self._record_stop()
        self._process.terminate()
        status = await asyncio.to_thread(self._process.wait, END_LIMIT_S)
        assert status == 0, f"{self.name} ended with status {status}:\n{self._last_log_lines()}"

    def must_run(self) -> None:
        """Fail if the process has ended by itself."""
        status = self._process.poll()
        assert status is None, f"{self.name} ended unexpectedly with status {status}:\n{self._last_log_lines()}"

    def read_log(self) -> str:
        """Return what the process has written."""
        return self._log.read_text(encoding="utf-8")

    async def restart(self) -> None:
        """Start the process again and wait until it works."""
        self.start()
        await self.ready()
        self.record_start()

    def _record_stop(self) -> None:
        self.must_run()
        self._down_since = elapsed_s()

    def _last_log_lines(self) -> str:
        return "\n".join(self._log.read_text(encoding="utf-8").splitlines()[-LAST_LINES:])

    def end(self) -> None:
        """End the process in whatever state it is."""
        if not hasattr(self, "_process"):
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class ServiceProcess(ClusterProcess):
    """A service on a fixed port, with the code of this checkout or of another folder."""

    def __init__(
        self,
        name: str,
        service: str,
        port: int,
        settings: Mapping[str, str],
        output: Path,
        code: Path | None = None,
    ) -> None:
        command = [sys.executable, "-m", f"services.{service}"]
        environment = {**settings, f"{service.upper()}_PORT": str(port), **path_to(code)}
        super().__init__(name, command, environment, output / f"{name}-{port}.log", code)
        self.port = port
        self.base = f"http://127.0.0.1:{port}"

    async def ready(self) -> None:
        """Wait until the service answers."""
        await wait_until_ready(f"{self.base}/livez", self._process)


class RedisServer(ClusterProcess):
    """A Redis that loses its data at a restart."""

    def __init__(self, folder: Path, port: int, output: Path) -> None:
        folder.mkdir()
        command = redis_command(folder, "user default on nopass allkeys allchannels +@all\n", port)
        super().__init__("redis", command, {}, output / f"redis-{port}.log")
        self.url = f"redis://127.0.0.1:{port}"


class PostgresServer:
    """PostgreSQL. Its processes can be stopped together, or killed and restarted with the same data."""

    def __init__(self, server: EmbeddedPostgres, log: Path) -> None:
        self._server = server
        self._log = log
        self._postmaster = psutil.Process(server._server.get_pid())
        self._command = self._postmaster.cmdline()
        self._user = self._postmaster.uids().real
        self._restarted: list[subprocess.Popen[bytes]] = []

    def stop(self) -> None:
        """Send SIGSTOP to all processes."""
        self._signal(psutil.Process.suspend)

    def resume(self) -> None:
        """Send SIGCONT to all processes."""
        self._signal(psutil.Process.resume)

    async def crash(self) -> None:
        """Send SIGKILL to all processes, and start PostgreSQL again, which recovers."""
        family = self._family()
        for process in family:
            process.kill()
        await asyncio.to_thread(psutil.wait_procs, family, END_LIMIT_S)
        with self._log.open("ab") as log:
            started = subprocess.Popen(self._command, user=self._user, stdout=log, stderr=log, cwd="/")
        self._restarted.append(started)
        self._postmaster = psutil.Process(started.pid)

    def end(self) -> None:
        """End the process in whatever state it is."""
        self.resume()
        if self._restarted:
            self._postmaster.send_signal(signal.SIGINT)  # requests a fast shutdown
            self._postmaster.wait(END_LIMIT_S)
            for process in self._restarted:
                process.wait(END_LIMIT_S)
        else:
            self._server.stop()

    def _signal(self, send: Callable[[psutil.Process], None]) -> None:
        for process in self._family():
            try:
                send(process)
            except psutil.NoSuchProcess:
                continue

    def _family(self) -> list[psutil.Process]:
        return [self._postmaster, *self._postmaster.children(recursive=True)]
