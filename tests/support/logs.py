"""The lines that the services in this process write to their log."""

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec


@contextmanager
def capture_log_lines() -> Generator[list[dict[str, Any]], None, None]:
    """Yield a list that has, after the block, the lines that were written during it."""
    file = Path(os.environ["POLLGATE_TEST_OUTPUT"]) / f"in-process-{os.getpid()}.log"
    lines: list[dict[str, Any]] = []
    _flush()
    with file.open("rb") as log:
        log.seek(0, os.SEEK_END)
        yield lines
        _flush()
        lines += [msgspec.json.decode(line) for line in log]


def _flush() -> None:
    """Write the lines that wait."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.flush()
