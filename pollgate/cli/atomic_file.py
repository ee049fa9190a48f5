"""Write a file completely or not at all."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pollgate.cli.errors import CliError


@contextmanager
def atomic_file(file: Path, content_name: str) -> Generator[BinaryIO, None, None]:
    """Yield a file that appears, readable only by its owner, when the block ends without an error. Raise `CliError`."""
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
        raise CliError(f"cannot write {content_name}: {error.strerror}: {file}") from None
