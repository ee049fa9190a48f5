"""Tables at terminals of every width."""

import json
import re
import sys
from typing import Any

import pytest
from rich.cells import cell_len

from pollgate.cli.output import escape, json_line, print_json, print_table

COLUMNS = ("Name", "Id", "Scope", "Created (UTC)")
ROWS = [
    ("Weekly report", "tok_3JDxtsz4ic3g56zQ", "polls:read:PLAT/PLAT-1\npolls:vote:PLAT", "2026-11-25 01:58"),
    ("名" * 60, "tok_AAAAAAAAAAAAAAAA", "ANY", "2026-11-25 01:58"),
]


def at_terminal(patch: pytest.MonkeyPatch, width: int) -> None:
    """Make standard output a terminal of this width."""
    patch.setenv("COLUMNS", str(width))
    patch.setattr(sys.stdout, "isatty", lambda: True)


@pytest.mark.parametrize("width", range(71, 150, 7))
def test_table_fits_the_terminal_without_folding_ids(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    at_terminal(monkeypatch, width)

    print_table(COLUMNS, ROWS, foldable=("Name", "Scope"))

    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert sum(row[1] in line for line in lines for row in ROWS) == 2
    assert lines[0].split()[:2] == ["Name", "Id"]


def test_table_in_narrow_terminal_becomes_fields(
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


def test_right_aligned_number_becomes_a_field_without_padding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_terminal(monkeypatch, 20)

    print_table(("Option", "Percentage", "Rank"), [("Yes", "     7.5 %", "   2")])

    assert capsys.readouterr().out.splitlines() == ["Option      Yes", "Percentage  7.5 %", "Rank        2"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10\u00a0Uhr\u202f30", "10\u00a0Uhr\u202f30"),
        ("会議\u3000室", "会議\u3000室"),
        ("👩\u200d🚀 می\u200cخواهم", "👩\u200d🚀 می\u200cخواهم"),
        ("\x1b[2J\x9b2J\r\u202e\u200b\u2028", "\\x1b[2J\\x9b2J\\r\\u202e\\u200b\\u2028"),
    ],
)
def test_escape_shows_what_people_write_and_escapes_what_controls_the_terminal(text: str, shown: str) -> None:
    assert escape(text) == shown


@pytest.mark.parametrize("printed", [print_json, lambda value: print(json_line(value))])
def test_json_output_is_equivalent_and_escapes_control_characters(
    capsys: pytest.CaptureFixture[str], printed: Any
) -> None:
    value = {"\x9b2J": ["\x1b[2J", "\u202e\U000e0041\x7f", "é 名 🏳️\u200d🌈 \\u009b"]}

    printed(value)

    out = capsys.readouterr().out
    assert json.loads(out) == value
    assert out.replace("\n", "").isprintable()
    assert "é 名 🏳" in out
