"""The help of every command in a terminal of 80 columns."""

import re
import shlex
from collections.abc import Iterator, Sequence

import pytest
from cyclopts import App
from rich.console import Console

from pollgate.cli.main import app


def commands(group: App, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command and group."""
    yield words
    for name, command in group.resolved_commands().items():
        if not name.startswith("-"):
            yield from commands(command, (*words, name))


@pytest.mark.parametrize("words", list(commands(app)), ids=" ".join)
def test_examples_in_help_can_be_pasted(capsys: pytest.CaptureFixture[str], words: Sequence[str]) -> None:
    app.help_print([*words], console=Console(width=80))
    output = capsys.readouterr().out

    found = re.search(r"\nExamples?:\n\n(.*?)(?:\n\n|$)", output.rstrip(), re.DOTALL)
    is_group = len(words) == 1 and bool(app[words[0]].resolved_commands())
    assert found or is_group
    lines = found[1].split("\n") if found else []
    pasted = "\n".join(lines).replace("\\\n", "").splitlines()
    assert [line for line in lines if len(line) > 78 or not line.startswith("  ")] == []
    assert [line for line in pasted if shlex.split(line)[0] != "pollgate"] == []
    assert max(map(len, output.splitlines())) <= 80
