"""Gives a measured process a core of its own, where the operating system lets us."""

import os
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress

import psutil


@contextmanager
def apart(measured: Collection[int], others: Collection[int]) -> Generator[int | None, None, None]:
    """The first processes on one core, one at a time, the others with their children on those that are left.

    For the length of the block; gives the number of the one core, or `None` where nothing could be done: on a machine
    with one core, or whose operating system has no such call.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        yield None
        return
    _put(measured, cores[:1])
    _put(_families(others), cores[1:])
    try:
        yield cores[0]
    finally:
        _put([*measured, *_families(others)], cores)


def keep_off(core: int | None) -> None:
    """Put this process on the other cores."""
    if core is not None:
        os.sched_setaffinity(0, os.sched_getaffinity(0) - {core})


def _put(pids: Collection[int], cores: Collection[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.sched_setaffinity(pid, cores)


def _families(pids: Collection[int]) -> list[int]:
    return [
        each for pid in pids for each in (pid, *(child.pid for child in psutil.Process(pid).children(recursive=True)))
    ]
