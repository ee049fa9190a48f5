"""Run `pollgate up` in a folder of the test, as `make run` does."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from tests.support.ports import take_port


class Runner:
    """Runs `pollgate up` with one folder and two ports. After an `async with` block, nothing of it runs any more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = (take_port(), take_port())
        self.screen = folder.with_name("screen.txt")
        self._processes: list[subprocess.Popen[bytes]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what still runs because an assertion has failed."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    await asyncio.to_thread(process.wait, 60)
        for left in self._find_processes():
            with suppress(psutil.Error):
                left.kill()

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The last `pollgate up` that was started."""
        return self._processes[-1]

    @property
    def environment(self) -> dict[str, str]:
        polls, authority = self.ports
        return {
            **os.environ,
            "POLLGATE_DIR": str(self.folder),
            "POLLS_PORT": str(polls),
            "TOKEN_AUTHORITY_PORT": str(authority),
            "TOKEN_AUTHORITY_URL": f"http://127.0.0.1:{authority}",
        }

    async def start(self) -> str:
        """Start the stack, wait until it is up, and return its output."""
        with self.screen.open("wb") as stream:
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "pollgate", "up"], env=self.environment, stdout=stream, stderr=stream
                )
            )
        async with asyncio.timeout(60):
            while "The admin key is in" not in self.screen.read_text():
                assert self.process.poll() is None, self.screen.read_text()
                await asyncio.sleep(0.1)
        return self.screen.read_text()

    async def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, 60)

    async def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run another command with the same settings."""
        return await asyncio.to_thread(
            lambda: subprocess.run(
                [sys.executable, "-m", "pollgate", *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        )

    def find_running_processes(self) -> list[str]:
        """Return the processes that have the folder in their command or environment, or run in it."""
        found = []
        for process in self._find_processes():
            with suppress(psutil.Error):
                found.append(f"{process.pid} {process.cmdline()}")
        return found

    def _find_processes(self) -> list[psutil.Process]:
        found = []  # Redis overwrites its command and environment, so that its folder is needed too
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                about = " ".join([process.cwd(), *process.cmdline(), *process.environ().values()])
                if str(self.folder) in about and process.pid != os.getpid():
                    found.append(process)
        return found
