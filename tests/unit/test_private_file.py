"""Files that are written completely or not at all, and files with secrets."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pollgate.cli.atomic_file import atomic_file
from pollgate.cli.errors import CliError
from pollgate.stack.errors import StackError
from pollgate.stack.secrets import load_or_create
from shared.runtime.process.private_file import can_others_read, read_secret_file, replace_file, write_secret_file


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def give_away(file: Path) -> None:
    """Make the file belong to another user."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(file, 54321, 54321)


def test_secret_file_is_private_while_and_after_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "secret"
    file.parent.mkdir()
    file.write_text("earlier")
    file.chmod(0o644)

    with replace_file(file) as opened:
        opened.write(b"new")
        (unfinished,) = (each for each in file.parent.iterdir() if each != file)
        during = (mode_of(unfinished), file.read_text())

    assert during == (0o600, "earlier")
    assert (file.read_text(), mode_of(file)) == ("new", 0o600)
    assert list(file.parent.iterdir()) == [file]


def test_secret_file_creates_a_private_folder_and_takes_a_mode(tmp_path: Path) -> None:
    write_secret_file(tmp_path / "new" / "secret", "s3cret", mode=0o444)

    assert (mode_of(tmp_path / "new"), mode_of(tmp_path / "new" / "secret")) == (0o700, 0o444)
    assert read_secret_file(tmp_path / "new" / "secret") == "s3cret"


def test_temporary_names_differ_and_prepared_links_are_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    file = tmp_path / "secret"
    (tmp_path / f"secret.{os.getpid()}.part").symlink_to(victim)
    names = set()

    for _ in range(3):
        with replace_file(file) as opened:
            opened.write(b"s3cret")
            names |= {each.name for each in tmp_path.iterdir() if each.name.startswith(".")}

    assert victim.read_text() == "kept"
    assert len(names) == 3


def test_error_while_writing_keeps_the_earlier_file_and_leaves_no_other(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("earlier")

    with pytest.raises(UnicodeEncodeError), replace_file(file) as opened:
        opened.writelines(text.encode() for text in ("half", "\udcff"))

    assert (file.read_text(), list(tmp_path.iterdir())) == ("earlier", [file])


UNSAFE_TARGETS: list[tuple[str, Callable[[Path], object], str]] = [
    ("a symbolic link", lambda file: file.symlink_to(file.with_name("victim")), "this is a symbolic link"),
    ("a dangling symbolic link", lambda file: file.symlink_to("/nowhere"), "this is a symbolic link"),
    ("a folder", lambda file: file.mkdir(), "this is not a regular file"),
    ("a pipe", os.mkfifo, "this is not a regular file"),
]


def test_target_that_is_no_regular_file_is_refused_and_kept(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for number, (name, make, message) in enumerate(UNSAFE_TARGETS):
        with subtests.test(name):
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / "victim").write_text("kept")
            file = folder / "secret"
            make(file)
            before = file.lstat()

            with pytest.raises(OSError, match=message):
                write_secret_file(file, "s3cret")
            with pytest.raises(CliError, match=message), atomic_file(file, "the results"):
                pass

            assert (file.lstat().st_ino, file.lstat().st_mode) == (before.st_ino, before.st_mode)
            assert (folder / "victim").read_text() == "kept"


LOOSE_FOLDERS = [
    (0o777, "other users can write to the folder"),
    (0o775, "other users can write to the folder"),
    (0o1777, None),
    (0o755, None),
    (0o700, None),
]


def test_secret_is_neither_written_to_nor_read_from_a_folder_of_others(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for mode, message in LOOSE_FOLDERS:
        with subtests.test(oct(mode)):
            folder = tmp_path / oct(mode)
            folder.mkdir()
            write_secret_file(folder / "secret", "first")
            folder.chmod(mode)

            if message is None:
                write_secret_file(folder / "secret", "second")
                assert read_secret_file(folder / "secret") == "second"
            else:
                with pytest.raises(PermissionError, match=message):
                    write_secret_file(folder / "secret", "second")
                with pytest.raises(PermissionError, match=message):
                    read_secret_file(folder / "secret")
                assert (folder / "secret").read_text() == "first"


def test_secret_of_another_user_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "secret"
    write_secret_file(file, "s3cret")
    give_away(file)

    with pytest.raises(PermissionError, match="the file belongs to another user"):
        read_secret_file(file)
    give_away(file.parent)
    with pytest.raises(PermissionError, match="belongs to another user"):
        write_secret_file(file, "other")


@pytest.mark.parametrize(("mode", "expected"), [(0o600, False), (0o400, False), (0o640, True), (0o644, True)])
def test_file_that_others_can_read_is_recognized(tmp_path: Path, mode: int, expected: bool) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret")
    file.chmod(mode)

    assert can_others_read(file) is expected


@pytest.mark.parametrize(
    ("mode", "message"),
    [(0o644, r"other users can read \S+secrets.json"), (0o620, "other users can change the file; run chmod go-w")],
)
def test_stack_refuses_secrets_that_others_can_read_or_change(tmp_path: Path, mode: int, message: str) -> None:
    file = tmp_path / "secrets.json"
    load_or_create(file)
    file.chmod(mode)

    with pytest.raises(StackError, match=message):
        load_or_create(file)


def test_stack_refuses_a_link_in_place_of_its_secrets(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").symlink_to(tmp_path / "elsewhere.json")

    with pytest.raises(StackError, match="this is a symbolic link"):
        load_or_create(tmp_path / "secrets.json")

    assert not (tmp_path / "elsewhere.json").exists()
