"""The `pollgate` command, its help and its guide."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App
from rich.console import Console

from pollgate.cli.main import app, main

GUIDE = Path(__file__).parents[2] / "docs" / "command-line.md"
GROUPS = ("poll", "token", "admin", "service", "audit", "keys")


def commands(group: App, name: str) -> Iterator[str]:
    """Yield the full name of every command."""
    below = {each: command for each, command in group.resolved_commands().items() if not each.startswith("-")}
    for each, command in below.items():
        yield from commands(command, f"{name} {each}")
    if not below:
        yield name


EVERY_COMMAND = list(commands(app, "pollgate"))


@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_guide_has_every_command_with_an_example(command: str) -> None:
    guide = GUIDE.read_text(encoding="utf-8")

    assert f"`{command}`" in guide
    assert f"\n$ {command}" in guide


@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_help_describes_every_command_and_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = command.split()[1:]

    with pytest.raises(SystemExit, match="0"):
        main([*words, "--help"])
    capsys.readouterr()
    app.help_print(words, console=Console(width=200))  # its own console keeps the width that it first had

    output = capsys.readouterr().out
    options = [line.strip("│ *\n") for line in output.splitlines() if line.startswith("│")]
    assert len(output.splitlines()[2]) > 20
    assert not [option for option in options if option.startswith("--") and "  " not in option]
    assert words[0] not in GROUPS or f"\n  {command}" in output


@pytest.mark.parametrize("command", [each for each in EVERY_COMMAND if each.split()[1] in GROUPS])
def test_help_fits_80_columns(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    app.help_print(command.split()[1:], console=Console(width=200))

    output = capsys.readouterr().out.split("╭")[0]
    _usage, _first, *paragraphs = output.strip().split("\n\n")
    assert [line for each in paragraphs for line in each.splitlines() if len(line.rstrip()) > 80] == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("ID", "--as", "ada"), "OPTION is missing: the id or the title of an option. See --help."),
        (("ID", "Yes"), "--as PARTICIPANT is missing: the participant who votes. See --help."),
    ],
)
def test_poll_vote_without_required_argument_exits_2(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["poll", "vote", *words])

    assert capsys.readouterr().err == f"pollgate: {sentence}\n"


REQUIRED = {"--reason": "leaked", "--role": "admin", "--name": "x", "--scope": "ANY", "--as": "ada", "--kind": "unused"}


def checked_options() -> Iterator[tuple[list[str], str]]:
    """Yield words of a command and one of its options whose values are checked before anything is sent."""
    for name in EVERY_COMMAND:
        words = name.split()[1:]
        arguments = app[words[0]][words[1]].assemble_argument_collection() if len(words) > 1 else ()
        required = [argument for argument in arguments if argument.required]
        values = [
            "x" if argument.name[0] != "-" else f"{argument.name}={REQUIRED[argument.name]}" for argument in required
        ]
        for argument in arguments:
            is_text = argument.hint in (bool, str, str | None, Path | None) or "list[str]" in str(argument.hint)
            if argument.name[0] == "-" and not is_text:
                yield [*words, *values], argument.name


def test_invalid_value_of_every_checked_option_exits_2(
    capsys: pytest.CaptureFixture[str], subtests: pytest.Subtests
) -> None:
    tried = 0
    for words, option in checked_options():
        kept = [word for word in words if not word.startswith(f"{option}=")]
        with subtests.test(" ".join([*words, option])):
            with pytest.raises(SystemExit, match="2"):
                main([*kept, f"{option}=?!"])

            output = capsys.readouterr().err
            assert option in output
            assert len(output.splitlines()) == 1
            tried += 1
    assert tried > 40


def test_unknown_command_exits_2_with_a_suggestion(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["token", "revoek"])

    output = capsys.readouterr().err
    assert output.startswith('pollgate: Unknown command "revoek". Did you mean "revoke"?')
    assert len(output.splitlines()) == 1
