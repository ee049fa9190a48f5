"""Run several processes of one service on one port. Their parent starts this program again for each of them."""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from types import FrameType
from typing import Final

import structlog

from shared.runtime.process.metrics import SHARED_FOLDER

_WORKER_VARIABLE: Final = "POLLGATE_WORKER"

_log = structlog.get_logger()


def is_worker() -> bool:
    """Return whether `run_workers` has started this process. See `Stop.follow_signals` for when it stops."""
    return _WORKER_VARIABLE in os.environ


def run_workers(count: int) -> int:
    """Run `count` workers until SIGTERM or SIGINT, or until one of them ends unexpectedly. Return the exit status.

    The workers get the first signal too, and a line on their standard input for each further one. Their standard input
    closes when this process ends, also when it is killed.
    """
    with tempfile.TemporaryDirectory(prefix="pollgate-metrics-") as folder:
        environment = {**os.environ, _WORKER_VARIABLE: "1", SHARED_FOLDER: folder}
        command = [sys.executable, *sys.orig_argv[1:]]
        workers = [
            subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)  # noqa: S603 - this program itself
            for _ in range(count)
        ]
        stopping = False

        def stop(number: int, _frame: FrameType | None) -> None:
            nonlocal stopping
            if stopping:
                _hurry(workers)
            else:
                stopping = True
                _signal(workers, signal.Signals(number))

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if not stopping and ended:
            how = "exit_status" if ended.si_code == os.CLD_EXITED else "signal"
            _log.error("worker ended unexpectedly; stopping the others", pid=ended.si_pid, **{how: ended.si_status})
            _signal(workers, signal.SIGTERM)
        statuses = [worker.wait() for worker in workers]
        # A worker that does not handle the signal yet is killed by it.
        killed = (-signal.SIGTERM, -signal.SIGINT)
        return 0 if stopping and all(status in (0, *killed) for status in statuses) else 1


def _signal(workers: "list[subprocess.Popen[bytes]]", number: signal.Signals) -> None:
    for worker in workers:
        worker.send_signal(number)


def _hurry(workers: "list[subprocess.Popen[bytes]]") -> None:
    """Let the workers end at once; see `Stop.follow_signals`."""
    for worker in workers:
        if worker.stdin is not None:
            with suppress(OSError):  # it has ended
                os.write(worker.stdin.fileno(), b"\n")
