"""The `pollgate` command and what is written about it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App
from rich.console import Console

from pollgate.cli.main import app, main

GUIDE = Path(__file__).parents[2] / "docs" / "command-line.md"
GROUPS = ("poll", "token", "admin", "service", "audit", "keys")


def commands(group: App, name: str) -> Iterator[str]:
    """The full name of every command, as it is typed."""
    below = {each: command for each, command in group.resolved_commands().items() if not each.startswith("-")}
    for each, command in below.items():
        yield from commands(command, f"{name} {each}")
    if not below:
        yield name


EVERY_COMMAND = list(commands(app, "pollgate"))


@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_every_command_is_in_the_guide_with_an_example(command: str) -> None:
    guide = GUIDE.read_text(encoding="utf-8")

    assert f"`{command}`" in guide
    assert f"\n$ {command}" in guide


@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_every_command_says_what_it_does_and_what_each_option_is(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command.split()[1:]

    with pytest.raises(SystemExit, match="0"):
        main([*words, "--help"])
    capsys.readouterr()
    app.help_print(words, console=Console(width=200))  # its own console keeps the width that it first had

    told = capsys.readouterr().out
    options = [line.strip("│ *\n") for line in told.splitlines() if line.startswith("│")]
    assert len(told.splitlines()[2]) > 20
    assert not [option for option in options if option.startswith("--") and "  " not in option]
    assert words[0] not in GROUPS or f"\n  {command}" in told


@pytest.mark.parametrize("command", [each for each in EVERY_COMMAND if each.split()[1] in GROUPS])
def test_what_a_command_says_of_itself_stands_as_it_is_in_80_columns(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app.help_print(command.split()[1:], console=Console(width=200))

    told = capsys.readouterr().out.split("╭")[0]
    _usage, _first, *paragraphs = told.strip().split("\n\n")
    assert [line for each in paragraphs for line in each.splitlines() if len(line.rstrip()) > 80] == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("ID", "--as", "ada"), "OPTION is missing: the id or the title of an option. See --help."),
        (("ID", "Yes"), "--as PARTICIPANT is missing: the participant who votes. See --help."),
    ],
)
def test_a_ballot_without_what_it_always_has_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["poll", "vote", *words])

    assert capsys.readouterr().err == f"pollgate: {sentence}\n"


def test_an_unknown_command_is_told_in_one_sentence_with_what_may_be_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["token", "revoek"])

    told = capsys.readouterr().err
    assert told.startswith('pollgate: Unknown command "revoek". Did you mean "revoke"?')
    assert len(told.splitlines()) == 1
