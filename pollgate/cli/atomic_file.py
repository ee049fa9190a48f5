"""Write a file completely or not at all."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pollgate.cli.errors import CliError
from shared.runtime.process.private_file import replace_file


@contextmanager
def atomic_file(file: Path, content_name: str) -> Generator[BinaryIO, None, None]:
    """Yield a file that appears, readable only by its owner, when the block ends without an error. Raise `CliError`."""
    try:
        with replace_file(file) as opened:
            yield opened
    except OSError as error:
        raise CliError(f"cannot write {content_name}: {error.strerror}: {file}") from None
