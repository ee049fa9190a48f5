"""The scripts of `pollgate completion`, in the shells that are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pollgate.cli.main import main

BASH = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_pollgate
printf '%s\\n' "${COMPREPLY[@]}"
"""
CASES = [
    (["pollgate", ""], {"token", "poll", "admin", "service", "up", "completion"}),
    (["pollgate", "token", "r"], {"revoke", "rotate", "review"}),
    (["pollgate", "token", "create", "--exp"], {"--expires-in", "--expires-at"}),
    (["pollgate", "poll", "create", "--cl"], {"--close-on-end"}),
    (["pollgate", "token", "list", "--status", ""], {"active", "expired", "revoked"}),
    (["pollgate", "token", "revoke", "--reason", "l"], {"leaked"}),
    (["pollgate", "poll", "create", "--results", "after"], {"afterVote", "afterClose"}),
    (["pollgate", "poll", "link", "ID", "--max"], {"--max-participants", "--max-per-address"}),
    (["pollgate", "poll", "links", "ID", "--kind", ""], {"personal", "shared"}),
    (["pollgate", "completion", ""], {"bash", "zsh", "fish"}),
]


@pytest.fixture
def script(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Path:
    """Write the script for a shell to a file; skip the test without this shell."""
    shell = str(request.param)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    with pytest.raises(SystemExit, match="0"):
        main(["completion", shell])
    file = tmp_path / shell
    file.write_text(capsys.readouterr().out)
    return file


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash_completes_commands_options_and_values(script: Path, subtests: pytest.Subtests) -> None:
    for words, expected in CASES:
        with subtests.test(" ".join(words)):
            command = ["bash", "--norc", "-c", BASH, "bash", str(script), *words]
            ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)

            assert (ran.returncode, ran.stderr) == (0, "")
            found = {line.strip() for line in ran.stdout.splitlines()}
            assert expected <= found
            assert all(word.startswith(words[-1]) for word in found if word)


@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish_completes_commands_options_and_values(script: Path, subtests: pytest.Subtests) -> None:
    for words, expected in CASES:
        with subtests.test(" ".join(words)):
            line = " ".join(words)
            command = ["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"]
            ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)

            assert expected <= {each.partition("\t")[0] for each in ran.stdout.splitlines()}


@pytest.mark.parametrize("script", ["bash", "zsh", "fish"], indirect=True)
def test_script_has_no_syntax_error(script: Path) -> None:
    ran = subprocess.run([script.name, "-n", str(script)], capture_output=True, text=True, check=False, timeout=20)

    assert (ran.returncode, ran.stderr) == (0, "")


def test_completion_for_unknown_shell_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["completion", "tcsh"])

    assert "tcsh" in capsys.readouterr().err
