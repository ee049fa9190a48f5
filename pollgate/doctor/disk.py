"""Examine the free space of the folders that Pollgate itself writes to."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pollgate.doctor.finding import Examination, Finding

_WARNING_SHARE: Final = 0.10
_PROBLEM_BYTES: Final = 256 * 1024 * 1024


def examine_disks(folders: Mapping[str, Path]) -> list[Finding]:
    """Return a finding per folder, by what it is for. The disk of PostgreSQL is not visible from here."""
    examination = Examination("disk")
    for purpose, folder in {**folders, "temporary files": Path(tempfile.gettempdir())}.items():
        try:
            usage = shutil.disk_usage(folder)
        except OSError as error:
            examination.fail(purpose, f"{folder}: {error.strerror}", "create the folder, or correct the setting")
            continue
        examination.judge(
            purpose,
            f"{usage.free / 2**30:.1f} GiB of {usage.total / 2**30:.1f} GiB free in {folder}",
            "free space on this disk, or make it larger",
            warns=usage.free < usage.total * _WARNING_SHARE,
            fails=usage.free < _PROBLEM_BYTES,
        )
    return examination.findings
