"""The secrets of a stack: created once, stored, and completed by later releases."""

import stat
from functools import partial
from pathlib import Path

import msgspec
import pytest

from pollgate.stack.errors import StackError
from pollgate.stack.secrets import has_secrets, load_or_create, write_secret_files
from shared.contract.token import ADMIN_KEY, is_well_formed
from shared.runtime.crypto.encryption import read_secret


def test_secrets_are_created_once_with_two_valid_keys(tmp_path: Path) -> None:
    made = load_or_create(tmp_path / "secrets.json")

    assert load_or_create(tmp_path / "secrets.json") == made
    assert read_secret("X", made.key_encryption_key) != read_secret("X", made.participant_key)


def test_secrets_file_of_earlier_release_is_completed(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    load_or_create(file)
    earlier = msgspec.json.decode(file.read_bytes()) | {"of_a_later_release": "x"}
    del earlier["key_encryption_key"], earlier["participant_key"]
    file.write_bytes(msgspec.json.encode(earlier))

    completed = load_or_create(file)

    assert completed == load_or_create(file)
    kept = msgspec.json.decode(file.read_bytes())
    later = {"key_encryption_key": completed.key_encryption_key, "participant_key": completed.participant_key}
    assert kept == {**earlier, **later}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"postgres_password": "p"}'])
def test_damaged_secrets_file_is_refused_and_unchanged(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secrets.json"
    file.write_text(text)
    file.chmod(0o600)

    with pytest.raises(StackError, match="does not contain the secrets of a stack; restore it"):
        load_or_create(file)

    assert file.read_text() == text


@pytest.mark.parametrize("own", ["token-authority/key_encryption_key", "polls/participant_key"])
def test_secret_files_give_each_key_to_one_service(tmp_path: Path, own: str) -> None:
    assert not has_secrets(tmp_path)
    write_secret_files(tmp_path, postgres="p", redis="r", database="d")
    assert has_secrets(tmp_path)

    key = (tmp_path / own).read_text()
    holders = {file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file() and key in file.read_text()}
    assert holders == {Path(own), Path("migrate/stack.json")}


def test_admin_key_is_created_once_if_asked_for_and_only_for_the_token_authority(tmp_path: Path) -> None:
    write = partial(write_secret_files, tmp_path, postgres="p", redis="r", database="d")
    file = tmp_path / "token-authority" / "admin_key"
    write()
    assert not file.exists()

    write(with_admin_key=True)
    key = file.read_text()
    write(with_admin_key=True)

    assert is_well_formed(key, ADMIN_KEY)
    assert file.read_text() == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each for each in tmp_path.rglob("*") if each.is_file() and key in each.read_text()] == [file]


def test_file_that_holds_no_admin_key_is_refused_and_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "token-authority" / "admin_key"
    file.parent.mkdir(mode=0o700)
    file.write_text("pga_x")

    with pytest.raises(StackError, match="does not hold an admin key; remove the file"):
        write_secret_files(tmp_path, postgres="p", redis="r", database="d", with_admin_key=True)

    assert file.read_text() == "pga_x"
