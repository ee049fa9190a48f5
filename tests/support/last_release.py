"""The code of the last release, from the history of this repository. `docs/upgrading.md` says when to change it."""

import subprocess
import tarfile
from pathlib import Path
from typing import Final

import pytest

LAST_RELEASE: Final = "073eca48552e7523514583be33bf2480be55f8fb"
"""The commit of the last release."""

_PARTS: Final = ("services", "shared", "pollgate", "docs")
_ROOT: Final = Path(__file__).parents[2]


def extract_last_release(folder: Path) -> Path:
    """Extract the code into a folder and return it. Skip the test where the history lacks the commit."""
    archive = folder / "last-release.tar"
    command = ["git", "archive", "--format=tar", f"--output={archive}", LAST_RELEASE, *_PARTS]
    try:
        subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"needs the history of this repository: git cannot read the last release, {LAST_RELEASE[:7]}")
    code = folder / "last-release"
    with tarfile.open(archive) as files:
        files.extractall(code, filter="data")
    archive.unlink()
    return code
