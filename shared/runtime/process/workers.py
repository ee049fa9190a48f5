"""Several processes of one service on one port: the first starts this program again for each, and ends with them."""

import os
import signal
import subprocess
import sys
import tempfile
from types import FrameType
from typing import Final

import structlog

from shared.runtime.http.metrics import SHARED_FOLDER

_MARK: Final = "POLLGATE_WORKER"

_log = structlog.get_logger()


def is_worker() -> bool:
    """Whether this process is one that `run_workers` has started. It should end when its standard input does."""
    return _MARK in os.environ


def run_workers(count: int) -> int:
    """Run `count` workers until SIGTERM or SIGINT, or until one of them ends by itself; the exit status.

    A worker's standard input ends when this process does, also when it is killed.
    """
    with tempfile.TemporaryDirectory(prefix="pollgate-metrics-") as folder:
        environment = {**os.environ, _MARK: "1", SHARED_FOLDER: folder}
        command = [sys.executable, *sys.orig_argv[1:]]
        workers = [
            subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)  # noqa: S603 - this program, once more
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
            _log.error("a worker has ended by itself; stopping the others", pid=ended.si_pid, **{how: ended.si_status})
            _terminate(workers)
        statuses = [worker.wait() for worker in workers]
        # A worker that has not begun to serve yet is ended by the signal itself.
        return 0 if stopping and all(status in (0, -signal.SIGTERM) for status in statuses) else 1


def _terminate(workers: "list[subprocess.Popen[bytes]]") -> None:
    for worker in workers:
        worker.terminate()
