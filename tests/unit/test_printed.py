"""Tables at terminals of every width."""

import json
import re
import sys
from typing import Any

import pytest
from rich.cells import cell_len

from pollgate.cli.output import json_line, print_json, print_table

COLUMNS = ("Name", "Id", "Scope", "Created (UTC)")
ROWS = [
    ("Weekly report", "tok_3JDxtsz4ic3g56zQ", "polls:read:PLAT/PLAT-1\npolls:vote:PLAT", "2026-11-25 01:58"),
    ("名" * 60, "tok_AAAAAAAAAAAAAAAA", "ANY", "2026-11-25 01:58"),
]


def at_terminal(patch: pytest.MonkeyPatch, width: int) -> None:
    """Have standard output be a terminal of this width."""
    patch.setenv("COLUMNS", str(width))
    patch.setattr(sys.stdout, "isatty", lambda: True)


@pytest.mark.parametrize("width", range(71, 150, 7))
def test_a_table_is_no_wider_than_the_terminal_and_leaves_ids_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    at_terminal(monkeypatch, width)

    print_table(COLUMNS, ROWS, foldable=("Name", "Scope"))

    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert sum(row[1] in line for line in lines for row in ROWS) == 2
    assert lines[0].split()[:2] == ["Name", "Id"]


def test_where_a_terminal_is_too_narrow_each_row_becomes_fields(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_terminal(monkeypatch, 40)

    print_table(COLUMNS, ROWS[:1], foldable=("Name", "Scope"))

    assert capsys.readouterr().out.splitlines() == [
        "Name           Weekly report",
        "Id             tok_3JDxtsz4ic3g56zQ",
        "Scope          polls:read:PLAT/PLAT-1",
        "               polls:vote:PLAT",
        "Created (UTC)  2026-11-25 01:58",
    ]


def test_a_number_that_stands_to_the_right_in_a_table_does_not_in_a_field(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_terminal(monkeypatch, 20)

    print_table(("Option", "Percentage", "Rank"), [("Yes", "     7.5 %", "   2")])

    assert capsys.readouterr().out.splitlines() == ["Option      Yes", "Percentage  7.5 %", "Rank        2"]


@pytest.mark.parametrize("printed", [print_json, lambda value: print(json_line(value))])
def test_json_says_the_same_and_moves_no_cursor(capsys: pytest.CaptureFixture[str], printed: Any) -> None:
    value = {"\x9b2J": ["\x1b[2J", "\u202e\U000e0041\x7f", "é 名 🏳️\u200d🌈 \\u009b"]}

    printed(value)

    out = capsys.readouterr().out
    assert json.loads(out) == value
    assert out.replace("\n", "").isprintable()
    assert "é 名 🏳" in out
