"""Runs a measurement to its end, or says in one sentence why it has none."""

import asyncio
import atexit
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import SubprocessError
from typing import TypeVar

import uvloop

from bench.errors import BenchError
from pollgate.client import ClientError
from pollgate.stack.errors import StackError

T = TypeVar("T")


def run(measure: Callable[[Path], Awaitable[T]]) -> T:
    """What `measure` gives, which may use the folder until the process ends; leaves it where that cannot be had."""
    folder = Path(tempfile.mkdtemp(prefix="pollgate-bench-"))
    # At exit, and registered before the embedded PostgreSQL's own hook, which runs first and still writes there.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_stoppable(measure(folder)))
    except (BenchError, ClientError, StackError) as error:
        sys.exit(f"bench: {error}")
    except SubprocessError as error:
        sys.exit(f"bench: PostgreSQL does not start: {error}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("bench: stopped")


def say(line: str) -> None:
    """Show what is going on, beside the result."""
    print(line, file=sys.stderr, flush=True)


async def _stoppable(measured: Awaitable[T]) -> T:
    this = asyncio.current_task()
    if this is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    return await measured
