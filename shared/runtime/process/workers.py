"""Run several processes of one service on one port. Their parent starts this program again for each of them."""

import os
import signal
import subprocess
import sys
import tempfile
from types import FrameType
from typing import Final

import structlog

from shared.runtime.process.metrics import SHARED_FOLDER

_WORKER_VARIABLE: Final = "POLLGATE_WORKER"

_log = structlog.get_logger()


def is_worker() -> bool:
    """Return whether `run_workers` has started this process. A worker must stop when its standard input closes."""
    return _WORKER_VARIABLE in os.environ


def run_workers(count: int) -> int:
    """Run `count` workers until SIGTERM or SIGINT, or until one of them ends unexpectedly. Return the exit status.

    A worker's standard input closes when this process ends, also when it is killed.
    """
    with tempfile.TemporaryDirectory(prefix="pollgate-metrics-") as folder:
        environment = {**os.environ, _WORKER_VARIABLE: "1", SHARED_FOLDER: folder}
        command = [sys.executable, *sys.orig_argv[1:]]
        workers = [
            subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)  # noqa: S603 - this program itself
            for _ in range(count)
        ]
        stopping = False

        def stop(_number: int, _frame: FrameType | None) -> None:
            nonlocal stopping
            stopping = True
            _terminate(workers)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if not stopping and ended:
            how = "exit_status" if ended.si_code == os.CLD_EXITED else "signal"
            _log.error("worker ended unexpectedly; stopping the others", pid=ended.si_pid, **{how: ended.si_status})
            _terminate(workers)
        statuses = [worker.wait() for worker in workers]
        # A worker that does not handle SIGTERM yet is killed by it.
        return 0 if stopping and all(status in (0, -signal.SIGTERM) for status in statuses) else 1


def _terminate(workers: "list[subprocess.Popen[bytes]]") -> None:
    for worker in workers:
        worker.terminate()
