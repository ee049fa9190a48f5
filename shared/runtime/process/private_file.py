"""Write a file completely or not at all, and readable only by its owner; read and write files with secrets.

`write_secret_file` and `read_secret_file` refuse a place where other users could exchange the file.
"""

import errno
import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_READABLE_BY_OTHERS: Final = stat.S_IRGRP | stat.S_IROTH
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def replace_file(file: Path, *, mode: int = 0o600) -> Generator[BinaryIO, None, None]:
    """Yield a file that takes the place of `file`, with this mode, when the block ends without an error.

    Until then only its owner can read it, and its name cannot be guessed. Raise `OSError`, also where `file` exists and
    is not a regular file.
    """
    with _open_folder(file.parent) as folder, _replace(folder, file.name, mode) as opened:
        yield opened


def write_secret_file(file: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a secret, and create its folder, for its owner only. Raise `OSError`, also for a folder that is not safe.

    A folder is safe if it belongs to this user or to root, and no other user can write to it, or it is sticky.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _open_folder(file.parent) as folder:
        _require_safe_folder(os.fstat(folder), file.parent)
        with _replace(folder, file.name, mode) as opened:
            opened.write(text.encode())


def read_secret_file(file: Path) -> str:
    """Return the text of a file. Raise `OSError`, also if another user owns it, can change it, or can replace it."""
    _require_safe_folder(file.parent.stat(), file.parent)
    with file.open("rb") as opened:
        _require_safe_file(os.fstat(opened.fileno()), file)
        return opened.read().decode()


def require_safe_folder(folder: Path) -> None:
    """Raise `OSError` for a folder in which other users could exchange files."""
    _require_safe_folder(folder.stat(), folder)


def can_others_read(file: Path) -> bool:
    """Return whether this user owns the file and others can read it. Mounted secrets belong to another user."""
    status = file.stat()
    return bool(status.st_uid == os.geteuid() and status.st_mode & _READABLE_BY_OTHERS and stat.S_ISREG(status.st_mode))


@contextmanager
def _open_folder(folder: Path) -> Generator[int, None, None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _replace(folder: int, name: str, mode: int) -> Generator[BinaryIO, None, None]:
    _require_replaceable(folder, name)
    unfinished = f".{secrets.token_hex(16)}.part"
    descriptor = os.open(unfinished, _CREATE, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            yield opened
            opened.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(unfinished, dir_fd=folder)


def _require_replaceable(folder: int, name: str) -> None:
    try:
        kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(kind):
        raise OSError(errno.ELOOP, "this is a symbolic link, which is not replaced", name)
    if not stat.S_ISREG(kind):
        raise OSError(errno.EINVAL, "this is not a regular file", name)


def _require_safe_folder(status: os.stat_result, folder: Path) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        raise PermissionError(errno.EPERM, f"the folder {folder} belongs to another user", str(folder))
    if status.st_mode & _WRITABLE_BY_OTHERS and not status.st_mode & stat.S_ISVTX:
        reason = f"other users can write to the folder {folder}; run chmod go-w on it"
        raise PermissionError(errno.EPERM, reason, str(folder))


def _require_safe_file(status: os.stat_result, file: Path) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        raise PermissionError(errno.EPERM, "the file belongs to another user", str(file))
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise PermissionError(errno.EPERM, "other users can change the file; run chmod go-w on it", str(file))
