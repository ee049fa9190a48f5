"""Run a measurement to its end, or exit with the reason why there is no result, and show its figures as a table."""

import asyncio
import atexit
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from subprocess import SubprocessError
from typing import TypeVar

import uvloop
from msgspec import Struct
from msgspec.structs import replace

from bench.errors import BenchError
from pollgate.client import ClientError
from pollgate.stack.errors import StackError

T = TypeVar("T")

_HEAD = ("part", "what", "figure", "unit", "limit", "")


class Figure(Struct, frozen=True):
    """One number and, if it has a limit, its least or greatest allowed value."""

    part: str
    what: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None

    @property
    def is_missed(self) -> bool:
        """Whether the value is beyond its limit."""
        return (self.least is not None and self.value < self.least) or (
            self.most is not None and self.value > self.most
        )

    def cells(self) -> tuple[str, ...]:
        """Return the figure as a row of the table."""
        limit = "" if self.least is None else f"≥ {self.least:g}"
        limit = limit if self.most is None else f"≤ {self.most:g}"
        return (self.part, self.what, _format_number(self.value), self.unit, limit, "MISSED" if self.is_missed else "")


def median_figures(runs: Sequence[Sequence[Figure]]) -> list[Figure]:
    """Return the median of each figure over several runs, which have the same figures in the same order."""
    return [replace(each[0], value=median(figure.value for figure in each)) for each in zip(*runs, strict=True)]


class Conditions(Struct, frozen=True):
    """The machine and the versions that a run was measured on."""

    machine: str
    cores: int
    python: str
    postgres: str
    redis: str

    @property
    def conditions(self) -> str:
        """The machine and the versions in words."""
        return f"{self.machine}, {self.cores} cores; Python {self.python}; {self.postgres}; {self.redis}"


class Report(Conditions, frozen=True):
    """The result of a run."""

    figures: Sequence[Figure]

    def text(self) -> str:
        """Return a line about the conditions, and the table."""
        return "\n".join((self.conditions, "", *align_rows([_HEAD, *(figure.cells() for figure in self.figures)])))


def align_rows(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows of cells as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def describe_machine() -> str:
    """Return the operating system and the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{platform.system()} {platform.machine()} {model}".strip()


def run(measure: Callable[[Path], Awaitable[T]]) -> T:
    """Return the result of `measure`, which gets a temporary folder; exit with a message if it fails or is stopped."""
    folder = Path(tempfile.mkdtemp(prefix="pollgate-bench-"))
    # Registered before the exit hook of the embedded PostgreSQL, which therefore runs first: it still writes there.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run_until_terminated(measure(folder)))
    except (BenchError, ClientError, StackError) as error:
        sys.exit(f"bench: {error}")
    except SubprocessError as error:
        sys.exit(f"bench: PostgreSQL does not start: {error}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("bench: stopped")


def report_progress(line: str) -> None:
    """Write a line to standard error; the result goes to standard output."""
    print(line, file=sys.stderr, flush=True)


async def _run_until_terminated(measurement: Awaitable[T]) -> T:
    """Return the result of the measurement. SIGTERM cancels it."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await measurement


def _format_number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
