"""Where the parts of a stack that `pollgate up` runs are: a file in its folder, for as long as it runs."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from shared.runtime.process.private_file import can_others_read, read_secret_file, write_secret_file

_FILE: Final = "doctor.json"


@contextmanager
def publish_environment(folder: Path, variables: Mapping[str, str]) -> Generator[None, None, None]:
    """Store the variables during the block, readable by this user only: the URLs have passwords."""
    file = folder / _FILE
    write_secret_file(file, msgspec.json.encode(variables).decode())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def read_environment(folder: Path) -> dict[str, str]:
    """Return the variables of the stack that runs on this folder; none if there is none."""
    file = folder / _FILE
    try:
        if can_others_read(file):
            return {}
        return msgspec.json.decode(read_secret_file(file), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}
