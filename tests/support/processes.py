"""Run the services as separate processes, as in production."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.databases import ClonedDatabase
from tests.support.http import wait_until_ready
from tests.support.ports import take_port
from tests.support.stack import CLIENT_SECRET, KEY_ENCRYPTION_KEY, PARTICIPANT_KEY


class Service:
    """A service in its own process."""

    def __init__(self, process: subprocess.Popen[bytes], base: str, log: Path) -> None:
        self.process = process
        self.base = base
        self.log = log

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)


@asynccontextmanager
async def run_service(
    name: str, settings: Mapping[str, str], output: Path, code: Path | None = None
) -> AsyncGenerator[Service, None]:
    """Run `python -m services.<name>` during the block; yield when it is ready. It writes to a file in `output`.

    The code is that of this checkout, unless `code` is a folder with another one.
    """
    port = take_port()
    log = output / f"{name}-{port}.log"
    command = [sys.executable, "-m", f"services.{name}"]
    environment = {**os.environ, **settings, f"{name.upper()}_PORT": str(port), **path_to(code)}
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, cwd=code, stdout=stream, stderr=stream)
    try:
        base = f"http://127.0.0.1:{port}"
        await wait_until_ready(f"{base}/readyz", process)
        yield Service(process, base, log)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(15)


def path_to(code: Path | None) -> dict[str, str]:
    """Return the environment variable by which Python finds the modules in a folder; none without one."""
    return {"PYTHONPATH": str(code)} if code else {}


def authority_settings(database: ClonedDatabase, redis_url: str, folder: Path) -> dict[str, str]:
    """Return the environment variables of a token authority."""
    return {
        "TOKEN_AUTHORITY_DATABASE_URL": database.token_authority_url,
        "REDIS_URL": redis_url,
        "SERVICE_CREDENTIALS": f"polls:{CLIENT_SECRET}",
        "KEY_ENCRYPTION_KEY": KEY_ENCRYPTION_KEY,
        "ADMIN_KEY_FILE": str(folder / "admin.key"),
        "DATABASE_POOL_SIZE": "4",
        "SHUTDOWN_GRACE_S": "0",
        "OPEN_REQUESTS_PER_MINUTE": "1000000",
    }


def polls_settings(database: ClonedDatabase, redis_url: str, authority_url: str) -> dict[str, str]:
    """Return the environment variables of a polls service."""
    return {
        "POLLS_DATABASE_URL": database.polls_url,
        "REDIS_URL": redis_url,
        "TOKEN_AUTHORITY_URL": authority_url,
        "INTROSPECTION_CLIENT_SECRET": CLIENT_SECRET,
        "PARTICIPANT_KEY": PARTICIPANT_KEY,
        "DATABASE_POOL_SIZE": "4",
        "SHUTDOWN_GRACE_S": "0",
    }
