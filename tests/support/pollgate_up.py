"""Run `pollgate up` in a folder of the test, as `make run` does."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.support.ports import take_port


class Runner:
    """Runs `pollgate up` with one folder and two ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = (take_port(), take_port())
        self.screen = folder.with_name("screen.txt")

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
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pollgate", "up"], env=self.environment, stdout=stream, stderr=stream
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
        """Return the processes that have the folder in their command or environment."""
        found = []
        for process in psutil.process_iter():
            try:
                about = " ".join([*process.cmdline(), *process.environ().values()])
            except psutil.Error:
                continue
            if str(self.folder) in about and process.pid not in (os.getpid(), getattr(self, "process", process).pid):
                found.append(f"{process.pid} {process.cmdline()}")
        return found
