"""A file that a command writes whole or not at all."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pollgate.cli.errors import CliError


@contextmanager
def written_whole(file: Path, what: str) -> Generator[BinaryIO, None, None]:
    """A file that is there when the block has ended well, for its owner alone to read. Raises `CliError`, which says
    `what` could not be written.
    """
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                yield opened
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise CliError(f"cannot write {what}: {error.strerror}: {file}") from None
