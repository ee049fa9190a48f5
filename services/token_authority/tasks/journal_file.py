"""The file of the journal: JSON Lines that several processes of one machine append to, one at a time.

A file that has grown too large is renamed to `NAME.<time>-<seq>`, and the next one begins with its last record. A line
that a crash has cut off is removed by the next append.
"""

import fcntl
import os
import stat
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from services.token_authority.domain.audit_chain import Head
from services.token_authority.domain.journal import (
    JournalRecord,
    MergedJournals,
    Unreadable,
    merge,
    read_line,
    write_line,
)
from shared.runtime.process.private_file import require_safe_folder

MAX_BYTES: Final = 64 * 1024 * 1024
LOCK_LIMIT_S: Final = 1.0
_TAIL: Final = 64 * 1024
_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class _Place(NamedTuple):
    """A file, by its inode, and its size. The same place has the same content, because files only grow."""

    inode: int
    size: int


class JournalFile:
    """A journal that this process appends to. The methods block, and must not run at the same time.

    Files that were renamed more than `kept` ago are deleted when another one is renamed.
    """

    def __init__(self, file: Path, kept: timedelta, *, max_bytes: int = MAX_BYTES) -> None:
        self._file = file
        self._kept = kept
        self._max_bytes = max_bytes
        self._synced: tuple[_Place, Head | None] | None = None

    def prepare(self) -> None:
        """Create the folder if it is missing. Raise `OSError` if other users could exchange files in it."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_safe_folder(self._file.parent)

    def read_head(self) -> Head | None:
        """Return the last record, `None` if there is none. Raise `OSError`."""
        with self._lock():
            for file in reversed(list_files(self._file)):
                with file.open("rb") as opened:
                    head = _find_head(opened.fileno(), os.fstat(opened.fileno()).st_size)
                if head is not None:
                    return head
        return None

    def append(self, records: Sequence[JournalRecord], after: Head | None) -> Head | None:
        """Append records that follow `after` in the log, and return the last record of the file, which is on disk.

        Another process may have appended some or all of them. If the file ends with a record that is neither `after`
        nor one of these, nothing is appended. Raise `OSError`.
        """
        with self._lock() as folder, self._open(folder) as descriptor:
            head = self._sync_head(descriptor)
            missing = _find_missing(records, after, head)
            if missing:
                head = self._write(descriptor, missing)
            if head is not None and os.fstat(descriptor).st_size > self._max_bytes:
                self._rotate(folder, descriptor, head)
        return head

    @contextmanager
    def _lock(self) -> Generator[int, None, None]:
        """Hold the lock of the folder, which processes of this machine share, and yield its descriptor."""
        folder = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            deadline = time.monotonic() + LOCK_LIMIT_S
            while True:
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        reason = f"another process holds the lock of the folder {self._file.parent}"
                        raise TimeoutError(reason) from None
                    time.sleep(0.002)
            yield folder
        finally:
            os.close(folder)

    @contextmanager
    def _open(self, folder: int) -> Generator[int, None, None]:
        name = self._file.name
        is_new = not self._file.exists()
        descriptor = os.open(name, _OPEN, 0o600, dir_fd=folder)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(f"{self._file} is not a regular file")
            if status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS:
                raise PermissionError(f"other users can change {self._file}; run chmod 600 on it as this user")
            if is_new:
                self._continue_rotated(descriptor)
                os.fsync(folder)
            yield descriptor
        finally:
            os.close(descriptor)

    def _continue_rotated(self, descriptor: int) -> None:
        """Begin a new file with the last record of the renamed one, if there is any."""
        for file in reversed(list_files(self._file)[:-1]):
            with file.open("rb") as opened:
                line = _find_last_line(opened.fileno(), os.fstat(opened.fileno()).st_size)
            if line is not None:
                _write_all(descriptor, line.content)
                return

    def _sync_head(self, descriptor: int) -> Head | None:
        """Return the last record, which is on disk, and remove what a crash has left of a line after it."""
        place = _place(descriptor)
        if self._synced is not None and self._synced[0] == place:
            return self._synced[1]
        end = _find_end_of_lines(descriptor, place.size)
        if end < place.size:
            os.ftruncate(descriptor, end)
        os.fdatasync(descriptor)
        head = _find_head(descriptor, end)
        self._synced = (_place(descriptor), head)
        return head

    def _write(self, descriptor: int, records: Sequence[JournalRecord]) -> Head:
        size = os.fstat(descriptor).st_size
        try:
            _write_all(descriptor, b"".join(map(write_line, records)))
            os.fdatasync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            self._synced = None
            raise
        head = records[-1].head
        self._synced = (_place(descriptor), head)
        return head

    def _rotate(self, folder: int, descriptor: int, head: Head) -> None:
        now = datetime.now(UTC)
        renamed = f"{self._file.name}.{now:%Y%m%dT%H%M%SZ}-{head.seq:012d}"
        os.rename(self._file.name, renamed, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
        self._synced = None
        with self._open(folder) as created:
            os.fdatasync(created)
        for file in list_files(self._file)[:-1]:
            if file.stat().st_mtime < (now - self._kept).timestamp():
                file.unlink()


def list_files(file: Path) -> list[Path]:
    """Return the files of a journal, oldest first: the renamed ones, and `file` itself if it exists."""
    renamed = sorted(file.parent.glob(f"{_escape_glob(file.name)}.[0-9]*Z-*"))
    return [*renamed, file] if file.exists() else renamed


def read_lines(files: Iterable[Path]) -> Iterator[JournalRecord | Unreadable]:
    """Yield each line of journals and exports, with the renamed files of each. Raise `OSError`."""
    for file in files:
        last: bytes | None = None
        for part in list_files(file) or [file]:
            with part.open("rb") as lines:
                for line in filter(bytes.strip, lines):
                    if last is not None:
                        yield read_line(last) or Unreadable.LINE
                    last = line
        if last is not None:
            # A crash cuts a line off. A whole line at the end that is no record was one.
            yield read_line(last) or (Unreadable.END if last.endswith(b"\n") else Unreadable.LINE)


def read_journals(files: Iterable[Path]) -> MergedJournals:
    """Return the records of journals and exports, with the renamed files of each. Raise `OSError`."""
    return merge(list(read_lines(files)))


class _Line(NamedTuple):
    content: bytes
    record: JournalRecord


def _find_missing(records: Sequence[JournalRecord], after: Head | None, head: Head | None) -> Sequence[JournalRecord]:
    if head in (None, after):
        return records
    for place, record in enumerate(records):
        if record.head == head:
            return records[place + 1 :]
    return []


def _find_head(descriptor: int, end: int) -> Head | None:
    line = _find_last_line(descriptor, end)
    return line.record.head if line else None


def _find_end_of_lines(descriptor: int, size: int) -> int:
    """Return where the last complete line ends."""
    for start, tail in _read_tails(descriptor, size):
        found = tail.rfind(b"\n")
        if found >= 0:
            return start + found + 1
    return 0


def _find_last_line(descriptor: int, size: int) -> _Line | None:
    """Return the last line before `size` that is complete and has a record."""
    for start, tail in _read_tails(descriptor, size):
        lines = tail.split(b"\n")[:-1]  # what follows the last line break is no complete line
        for line in reversed(lines if start == 0 else lines[1:]):
            record = read_line(line)
            if record is not None:
                return _Line(line + b"\n", record)
    return None


def _read_tails(descriptor: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the end of a file, each time with more before it, up to the whole file."""
    length = _TAIL
    while size:
        start = max(0, size - length)
        yield start, os.pread(descriptor, size - start, start)
        if start == 0:
            return
        length *= 4


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _place(descriptor: int) -> _Place:
    status = os.fstat(descriptor)
    return _Place(status.st_ino, status.st_size)


def _escape_glob(name: str) -> str:
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)
